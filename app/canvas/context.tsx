'use client'
/** Hands the editor's stores to everything inside it. Selectors keep each part to what it needs (TC-39). */
import { createContext, type ReactNode, useContext, useEffect, useState } from 'react'
import { useStore } from 'zustand'
import type { StoreApi } from 'zustand/vanilla'
import type { Registry } from '../../nodes/_kit/define-node'
import type { Pipeline } from '../../nodes/_kit/graph'
import { createDerivedStore, createEditorStore, createViewStore, type DerivedState, type EditorState, type ViewState } from './stores'

export type Editor = {
  readonly registry: Registry
  readonly editor: StoreApi<EditorState>
  readonly derived: StoreApi<DerivedState>
  readonly view: StoreApi<ViewState>
}

const Context = createContext<Editor | null>(null)

export function EditorProvider({
  registry,
  pipeline,
  children,
}: {
  registry: Registry
  pipeline: { id: string; name: string; revision: number; document: Pipeline }
  children: ReactNode
}) {
  const [stores] = useState(() => {
    const editor = createEditorStore(pipeline)
    return { registry, editor, ...connectDerived(editor, registry), view: createViewStore() }
  })
  // Subscribed in an effect, so that a development double mount does not leave a dead derived store behind.
  useEffect(() => stores.follow(), [stores])
  return <Context.Provider value={stores}>{children}</Context.Provider>
}

function connectDerived(editor: StoreApi<EditorState>, registry: Registry) {
  const { store, follow } = createDerivedStore(editor, registry)
  return { derived: store, follow }
}

export function useStores(): Editor {
  const stores = useContext(Context)
  if (!stores) throw new Error('Used outside of <EditorProvider>.')
  return stores
}

export const useEditor = <T,>(selector: (state: EditorState) => T): T => useStore(useStores().editor, selector)
export const useDerived = <T,>(selector: (state: DerivedState) => T): T => useStore(useStores().derived, selector)
export const useView = <T,>(selector: (state: ViewState) => T): T => useStore(useStores().view, selector)
