'use client'
import { Component, type ReactNode } from 'react'
import { Button } from './button'
import { Notice } from './notice'

/** A fault in one part of a page stays there: the rest goes on, and the part can be shown again. `what` names it for people. */
export class ErrorBoundary extends Component<{ what: string; children: ReactNode }, { fault: string | null }> {
  override state: { fault: string | null } = { fault: null }

  static getDerivedStateFromError(thrown: unknown) {
    return { fault: thrown instanceof Error ? thrown.message : String(thrown) }
  }

  override render() {
    const { fault } = this.state
    if (fault === null) return this.props.children
    return (
      <Notice
        tone="error"
        className="m-4"
        title={`${this.props.what} could not be drawn`}
        actions={
          <Button size="sm" icon="reset" onClick={() => this.setState({ fault: null })}>
            Show again
          </Button>
        }
      >
        This is a fault of Thaw, not of your pipeline; nothing that runs is affected. {fault}
      </Notice>
    )
  }
}
