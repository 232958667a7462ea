'use client'
import type { RunPanelProps } from './editor-shell'

/** Where the run panel goes. */
export function RunPanelSlot({ summary }: RunPanelProps) {
  return <div className="tabs slim">{summary}</div>
}
