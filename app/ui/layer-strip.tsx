/**
 * The layer strip, the mark of the product (D-19…D-22): one cell per block, input left, output right, round caps for embeddings and head.
 * A part-open block is warm; its share is in the label of whoever shows more room. Above 48 blocks neighbours are joined in pairs.
 */
export type StripModel = {
  /** Share of each block that may change, 0…1; index = block. */
  blocks: readonly number[]
  embeddings?: number
  head?: number
}
export type StripCell = 'frozen' | 'trainable' | 'adapter' | 'empty'

const CLASS: Record<StripCell, string> = { frozen: 'f', trainable: 't', adapter: 'a', empty: 'e' }
const JOIN_ABOVE = 48

/** Cells as drawn. Pure. `joined` tells how many blocks one cell stands for. */
export function stripCells(blocks: readonly number[], adapter = false): { cells: StripCell[]; joined: 1 | 2 } {
  const joined = blocks.length > JOIN_ABOVE ? 2 : 1
  const cells: StripCell[] = []
  for (let i = 0; i < blocks.length; i += joined) {
    const open = blocks.slice(i, i + joined).some((share) => share > 0)
    cells.push(open ? (adapter ? 'adapter' : 'trainable') : 'frozen')
  }
  return { cells, joined }
}

/** "20 frozen, 10 trainable", with what is special said after it. */
export function stripLabel({ blocks, embeddings = 0, head = 0 }: StripModel, adapter = false): string {
  const open = blocks.filter((share) => share > 0).length
  const part = blocks.filter((share) => share > 0 && share < 1).length
  const words = [
    `${blocks.length} blocks: ${adapter ? `${blocks.length} frozen, ${open} with adapters` : `${blocks.length - open} frozen, ${open} trainable`}`,
  ]
  if (part > 0 && !adapter) words.push(`${part} of them in part`)
  if (embeddings > 0) words.push('embeddings trainable')
  if (head > 0) words.push('head trainable')
  if (blocks.length > JOIN_ABOVE) words.push('two blocks a cell')
  return words.join(', ')
}

/**
 * `model: null` draws empty hatched cells, for a pipeline that carries no model yet.
 * `live`: this node is training right now (D-43). `size="lg"` is 28 px high, for cards and phones.
 */
export function LayerStrip({
  model,
  adapter = false,
  live = false,
  size = 'sm',
  label,
  className,
}: {
  model: StripModel | null
  adapter?: boolean
  live?: boolean
  size?: 'sm' | 'lg'
  label?: string
  className?: string
}) {
  const classes = ['strip', size === 'lg' && 'lg', live && 'live', className].filter(Boolean).join(' ')
  const cells: StripCell[] = model ? stripCells(model.blocks, adapter).cells : Array.from({ length: 12 }, () => 'empty' as const)
  const cap = (share: number | undefined): StripCell => (model ? ((share ?? 0) > 0 ? 'trainable' : 'frozen') : 'empty')
  return (
    <div className={classes} role="img" aria-label={label ?? (model ? stripLabel(model, adapter) : 'No model')}>
      <i className={`${CLASS[cap(model?.embeddings)]} cap`} />
      {cells.map((cell, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a cell is its position in the model
        <i key={i} className={CLASS[cell]} style={live && cell !== 'frozen' ? ({ '--i': i } as React.CSSProperties) : undefined} />
      ))}
      <i className={`${CLASS[cap(model?.head)]} cap`} />
    </div>
  )
}

/** The two counts in words, below a strip (D-22). */
export function StripCounts({ model, adapter = false }: { model: StripModel; adapter?: boolean }) {
  const open = model.blocks.filter((share) => share > 0).length
  return (
    <div className="flex justify-between gap-2 text-12">
      <span className="text-ice-text">{adapter ? model.blocks.length : model.blocks.length - open} frozen</span>
      <span className={open > 0 ? 'text-thaw-text' : 'text-ink-3'}>
        {open === 0 ? 'nothing trainable' : adapter ? `${open} adapters` : `${open} trainable`}
      </span>
    </div>
  )
}
