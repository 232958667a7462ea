'use client'
/** The tokens of one row as the model gets them (UX-84, D-14): trained ones on teal with a line below, ignored ones hatched, special ones framed. */
import { Fragment } from 'react'
import type { TokenView } from '../../../nodes/_kit/tokens'
import { Icon } from '../../ui/icon'

type Token = TokenView['rows'][number]['tokens'][number]

/** White space is part of a token and must be seen: a middle dot for a space, an arrow for a line end. */
const visible = (text: string): string => text.replaceAll(' ', '·').replaceAll('\n', '↵').replaceAll('\t', '⇥') || '∅'

const wordOf = (token: Token): string => [token.trained ? 'trained' : 'ignored', token.special && 'special'].filter(Boolean).join(', ')

/** Tokens behind the limit are struck out: a training leaves the row out, or cuts it there. */
export function TokenFlow({ tokens, limit }: { tokens: readonly Token[]; limit: number | null }) {
  return (
    <p className="tkflow">
      {tokens.map((token, i) => {
        const over = limit !== null && i >= limit
        return (
          // biome-ignore lint/suspicious/noArrayIndexKey: a token is its place in the row
          <Fragment key={i}>
            {limit !== null && i === limit ? (
              <span className="tkcut">
                <Icon name="scissors" size={12} />
                limit {limit}
              </span>
            ) : null}
            <span
              className={['tk', token.special && 'sp', over ? 'over' : token.trained ? 'tr' : 'ig'].filter(Boolean).join(' ')}
              title={`Token ${i + 1}, id ${token.id}, ${over ? 'above the limit' : wordOf(token)}`}
            >
              {visible(token.text)}
            </span>
            {token.text.endsWith('\n') ? <br /> : null}
          </Fragment>
        )
      })}
    </p>
  )
}

export function TokenLegend() {
  return (
    <span className="tklegend">
      <span className="tk tr">abc</span> trained <span className="tk ig">abc</span> ignored <span className="tk sp ig">{'<|x|>'}</span>{' '}
      special
    </span>
  )
}
