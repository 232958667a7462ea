'use client'
import { Toaster as Sonner, toast as sonner } from 'sonner'

/**
 * Says what was done, with Undo where there is one (D-50). Errors never live here alone (UX-86): show them at their place first.
 */
export function toast(text: string, action?: { label: string; onPress: () => void }, options?: { seconds?: number; id?: string }) {
  sonner.custom(
    (id) => (
      <div className="toast">
        <span>{text}</span>
        {action ? (
          <button
            type="button"
            onClick={() => {
              action.onPress()
              sonner.dismiss(id)
            }}
          >
            {action.label}
          </button>
        ) : null}
      </div>
    ),
    { duration: (options?.seconds ?? 6) * 1000, ...(options?.id && { id: options.id }) },
  )
}

/** Bottom left, above the folded run panel, so that it covers neither Run nor Stop (UX-17). The editor sets `--toast-bottom` to its panel's height. */
export function Toaster() {
  return (
    <Sonner
      position="bottom-left"
      offset={{ left: 'calc(var(--toast-left, 0px) + 12px)', bottom: 'calc(var(--toast-bottom, 0px) + 12px)' }}
      visibleToasts={3}
      toastOptions={{ unstyled: true }}
    />
  )
}
