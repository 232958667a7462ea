'use client'
/** What a form's widgets may know and do, handed in by whoever shows the form; the forms themselves know neither canvas nor store. */
import { createContext, useContext } from 'react'
import type { InferredNode } from '../../nodes/_kit/infer'
import type { Fix, Problem } from '../../nodes/_kit/problems'

export type Change = { readonly set: Readonly<Record<string, unknown>>; readonly unset?: readonly string[] }

export type FormContext = {
  readonly node: string
  readonly params: Readonly<Record<string, unknown>>
  /** What is known about the node and its wires; undefined while it is disabled. */
  readonly inferred: InferredNode | undefined
  readonly problems: readonly Problem[]
  /** `label` names the entry in the history. While `going` is true changes of one field are one entry; `done` ends it. */
  change(change: Change, label: string, going?: boolean): void
  done(): void
  fix(fix: Fix): void
  /** Opens the large view of the layer grid; absent where there is none. */
  openLarge?: () => void
}

const Context = createContext<FormContext | null>(null)
export const FormProvider = Context.Provider

export function useForm(): FormContext {
  const form = useContext(Context)
  if (!form) throw new Error('Used outside of a form.')
  return form
}
