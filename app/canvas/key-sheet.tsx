'use client'
/** `?`: all keys, from the same table that handles them (UX-100, UX-124). */
import { Dialog } from '../ui/dialog'
import { useStores, useView } from './context'
import { capsOf, KEYS, type KeyGroup } from './keys'
import { isMac } from './use-keys'

const GROUPS: readonly KeyGroup[] = ['Build', 'Edit', 'Run', 'Move about', 'View']

export function KeySheet() {
  const { view } = useStores()
  const open = useView((s) => s.open === 'keys')
  const mac = isMac()
  return (
    <Dialog
      open={open}
      onOpenChange={(next) => view.getState().set({ open: next ? 'keys' : null })}
      title="Keyboard"
      description="Single keys work while the canvas has the focus."
      size="lg"
    >
      <div className="keys">
        {GROUPS.map((group) => (
          <div key={group} className="keygroup">
            <h3 className="h-sec">{group}</h3>
            <dl>
              {KEYS.filter((binding) => binding.group === group && binding.keys.length > 0).map((binding) => (
                <div key={binding.command}>
                  <dt>{binding.label}</dt>
                  <dd>
                    {capsOf(binding.keys[0] ?? '', mac).map((cap) => (
                      <kbd key={cap}>{cap}</kbd>
                    ))}
                  </dd>
                </div>
              ))}
            </dl>
          </div>
        ))}
      </div>
    </Dialog>
  )
}
