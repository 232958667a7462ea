'use client'
import { useVirtualizer } from '@tanstack/react-virtual'
import { type KeyboardEvent, useEffect, useRef } from 'react'
import { count } from '../../ui/words'
import type { RowTokens } from './counts'
import { firstWords } from './first-words'
import type { Row } from './use-rows'

const ROW_H = 44

/** All rows that are shown, by number, with their first words and what of them is trained. */
export function RowList({
  rowAt,
  shown,
  counted,
  longest,
  current,
  onChoose,
  onNeed,
}: {
  rowAt: (index: number) => Row | undefined
  shown: readonly number[]
  counted: readonly RowTokens[] | null
  longest: number
  current: number
  onChoose: (row: number) => void
  onNeed: (row: number) => void
}) {
  const scroller = useRef<HTMLDivElement>(null)
  const virtual = useVirtualizer({ count: shown.length, getScrollElement: () => scroller.current, estimateSize: () => ROW_H, overscan: 8 })
  const items = virtual.getVirtualItems()
  const last = items.at(-1)
  const lowest = last ? shown[last.index] : undefined
  useEffect(() => {
    if (lowest !== undefined) onNeed(lowest)
  }, [lowest, onNeed])
  const at = shown.indexOf(current)
  const onKey = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 }[event.key]
    const next =
      event.key === 'Home'
        ? 0
        : event.key === 'End'
          ? shown.length - 1
          : step === undefined
            ? null
            : Math.min(shown.length - 1, Math.max(0, at + step))
    const row = next === null ? undefined : shown[next]
    if (row === undefined || next === null) return
    event.preventDefault()
    onChoose(row)
    virtual.scrollToIndex(next)
  }
  return (
    <div
      ref={scroller}
      className="dv-scroll"
      role="listbox"
      aria-label="Rows, choose one to read it"
      tabIndex={0}
      onKeyDown={onKey}
      {...(at >= 0 && { 'aria-activedescendant': `dv-${current}` })}
    >
      <div className="relative" style={{ height: virtual.getTotalSize() }}>
        {items.map((item) => {
          const index = shown[item.index] ?? 0
          const row = counted?.[index]
          return (
            // biome-ignore lint/a11y/useKeyWithClickEvents: arrow keys on the list choose rows; each row is not a tab stop
            <div
              key={index}
              id={`dv-${index}`}
              role="option"
              aria-selected={index === current}
              aria-posinset={item.index + 1}
              aria-setsize={shown.length}
              tabIndex={-1}
              className="dv-item"
              style={{ transform: `translateY(${item.start}px)` }}
              onClick={() => onChoose(index)}
            >
              <span className="mono muted">{index + 1}</span>
              <span className="ell">{firstWords(rowAt(index))}</span>
              <span className={row?.long || (row && row.length < 0) ? 'num bad-t' : 'num muted'}>
                {row ? (row.length < 0 ? '–' : count(row.length)) : ''}
              </span>
              {row && row.length > 0 && longest > 0 ? (
                <span className="dv-bar" aria-hidden="true" style={{ width: `${(row.length / longest) * 100}%` }}>
                  <i className="ig" style={{ flex: row.length - row.trained }} />
                  <i className={row.long ? 'over' : 'tr'} style={{ flex: row.trained }} />
                </span>
              ) : null}
            </div>
          )
        })}
      </div>
    </div>
  )
}
