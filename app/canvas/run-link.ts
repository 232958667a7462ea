'use client'
/** The editor's one door to what runs say: the newest run of this pipeline, by node, and what one may ask of it. */
import { createContext, useContext } from 'react'
import type { NodeRun } from '../runs/reduce'

export type RunLink = {
  /** Subscribes a component to one node of the shown run; null when it was not part of it. */
  useNodeRun(node: string): NodeRun | null
  /** Number people know the run by; null before the first. */
  number: number | null
  active: boolean
  stop(): void
  resume(): void
}

const idle: RunLink = { useNodeRun: () => null, number: null, active: false, stop: () => undefined, resume: () => undefined }
export const RunLinkContext = createContext<RunLink>(idle)
export const useRunLink = (): RunLink => useContext(RunLinkContext)
export const useNodeRun = (node: string): NodeRun | null => useContext(RunLinkContext).useNodeRun(node)
