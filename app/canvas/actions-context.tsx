'use client'
import { createContext, type ReactNode, useContext, useState } from 'react'
import { type Actions, createActions } from './actions'
import { useStores } from './context'

const Context = createContext<Actions | null>(null)

export function ActionsProvider({ children }: { children: ReactNode }) {
  const stores = useStores()
  const [actions] = useState(() => createActions(stores))
  return <Context.Provider value={actions}>{children}</Context.Provider>
}

export function useActions(): Actions {
  const actions = useContext(Context)
  if (!actions) throw new Error('Used outside of <ActionsProvider>.')
  return actions
}
