// biome-ignore-all lint/a11y/useSemanticElements: a named group of controls inside a labelled section; a fieldset would bring a second legend
'use client'
/** Which layers may change (UX-42): how they are chosen, the grid of blocks × parts to click and drag on, and what the choice costs, live. */
import { useId, useMemo, useState } from 'react'
import { optimizerBytes, trainFlopsPerToken } from '../../nodes/_kit/estimate'
import type { ModelFacts } from '../../nodes/_kit/facts'
import { BLOCK_PARTS, type BlockPart, countAll, type FreezeChoice, resolveFreeze, sizeOf } from '../../nodes/_kit/freeze'
import { Button } from '../ui/button'
import { Field as FieldFrame, Input, Textarea } from '../ui/field'
import { Icon } from '../ui/icon'
import { Checkbox, Segmented } from '../ui/toggles'
import { bytes, percent, short } from '../ui/words'
import { useForm } from './form-context'
import { type CellKey, choiceOf, gridOf, openCells, openNames } from './layer-choice'
import { LayerGrid } from './layer-grid'
import { indexesText, parseIndexes, parseLines } from './list-text'
import { type Field, shownValue } from './schema'

const PART_TITLE: Record<BlockPart, string> = { attention: 'Attention', mlp: 'MLP', norm: 'Norm' }
const TYPICAL_TOKENS = 192

/** The node's settings as the freeze rules take them; what cannot be read falls back to nothing chosen. */
export function choiceIn(fields: readonly Field[], params: Readonly<Record<string, unknown>>): FreezeChoice {
  const value = (name: string): unknown => {
    const field = fields.find((f) => f.name === name)
    return field ? shownValue(field, params) : undefined
  }
  const list = <T,>(name: string, is: (item: unknown) => item is T): T[] => {
    const items = value(name)
    return Array.isArray(items) ? items.filter(is) : []
  }
  const mode = value('mode')
  return {
    mode: mode === 'first' || mode === 'blocks' || mode === 'patterns' ? mode : 'last',
    count: typeof value('count') === 'number' ? (value('count') as number) : 0,
    blocks: list('blocks', (n): n is number => typeof n === 'number'),
    patterns: list('patterns', (p): p is string => typeof p === 'string'),
    parts: list('parts', (p): p is BlockPart => (BLOCK_PARTS as readonly unknown[]).includes(p)),
    train_embeddings: value('train_embeddings') === true,
    train_head: value('train_head') === true,
    train_norms: value('train_norms') === true,
  }
}

const MODES = [
  { value: 'first', label: 'First n' },
  { value: 'last', label: 'Last n' },
  { value: 'blocks', label: 'Exact' },
  { value: 'patterns', label: 'Patterns' },
] as const

export function useLayers(fields: readonly Field[]) {
  const { params, inferred, change, done } = useForm()
  const model = inferred?.inputs.model?.kind === 'model' ? inferred.inputs.model.facts : null
  const choice = useMemo(() => choiceIn(fields, params), [fields, params])
  const open = useMemo(() => (model ? openNames(choice, model) : new Set<string>()), [choice, model])
  const grid = useMemo(() => (model ? gridOf(model, open) : null), [model, open])
  const cells = useMemo(() => (grid ? openCells(grid) : new Set<CellKey>()), [grid])
  const mark = (next: ReadonlySet<CellKey>) => {
    if (model) change({ set: choiceOf(next, model, choice) }, 'choose layers', true)
  }
  return { model, choice, open, grid, cells, mark, done }
}

export function LayerPanel({ fields }: { fields: readonly Field[] }) {
  const { problems, fix, openLarge, inferred } = useForm()
  const layers = useLayers(fields)
  const { model, grid, cells, mark, done } = layers
  const faults = problems.filter(
    (p) => p.param === undefined || ['mode', 'count', 'blocks', 'patterns', 'parts'].includes(p.param.split('.')[0] ?? ''),
  )
  const given = inferred?.inputs.plan !== undefined
  return (
    <section className="layers" aria-label="Which layers may change" data-param="blocks">
      <div className="layers-head">
        <h3 className="h-sec">Which layers may change</h3>
        {openLarge && model ? (
          <Button variant="ghost" size="sm" icon="fit" onClick={openLarge}>
            Open large
          </Button>
        ) : null}
      </div>
      {given ? <p className="help">A layer plan is wired in and decides; these settings rest until it is gone.</p> : null}
      <ModeField layers={layers} />
      {grid && model ? (
        <>
          <LayerGrid grid={grid} open={cells} onMark={mark} onDone={done} disabled={given} />
          <Legend blocks={model.blocks} />
        </>
      ) : (
        <p className="help framed">Wire a model in to see and mark its layers.</p>
      )}
      <ChoiceDetail layers={layers} />
      {faults.map((problem) => (
        <p key={`${problem.detail} ${problem.message}`} className={problem.severity === 'error' ? 'err' : 'help warned'}>
          <Icon name={problem.severity === 'error' ? 'error' : 'warn'} size={14} />
          <span>
            {problem.message}
            {problem.fix ? (
              <button type="button" className="btn sm fix" onClick={() => problem.fix && fix(problem.fix)}>
                {problem.fix.label}
              </button>
            ) : null}
          </span>
        </p>
      ))}
      {model ? <Counts model={model} open={layers.open} choice={layers.choice} /> : null}
    </section>
  )
}

/** How the blocks are chosen. Of one height in every mode: the grid below it must not move under a pointer that paints. */
export function ModeField({ layers }: { layers: ReturnType<typeof useLayers> }) {
  const { change, done } = useForm()
  const { choice, model, open } = layers
  const blocks = model
    ? Array.from({ length: model.blocks }, (_, b) => b).filter((b) => model.parameters.some((p) => p.block === b && open.has(p.name)))
    : []
  return (
    <Segmented
      fill
      label="How the blocks are chosen"
      value={choice.mode}
      items={MODES}
      onValueChange={(mode) => {
        // What is open now is where the next mode starts from, so that switching loses nothing.
        const set =
          mode === 'blocks'
            ? { mode, blocks }
            : mode === 'patterns'
              ? { mode }
              : { mode, count: Math.max(1, blocks.length || choice.count) }
        change({ set }, 'change how layers are chosen')
        done()
      }}
    />
  )
}

/** Number, blocks, patterns and parts: the twin of the grid for the keyboard and for exact words. */
export function ChoiceDetail({ layers }: { layers: ReturnType<typeof useLayers> }) {
  const { change, done } = useForm()
  const { choice, model, open } = layers
  const id = useId()
  const set = (values: Partial<FreezeChoice>, label: string, going = false) => {
    change({ set: values as Record<string, unknown> }, label, going)
    if (!going) done()
  }
  return (
    <>
      {choice.mode === 'last' || choice.mode === 'first' ? (
        <CountField
          choice={choice}
          most={model?.blocks ?? 1000}
          onChange={(count, going) => set({ count }, 'change Blocks', going)}
          onDone={done}
        />
      ) : null}
      {choice.mode === 'blocks' ? (
        <BlocksField choice={choice} onChange={(next) => set({ blocks: next }, 'change Blocks that train', true)} onDone={done} />
      ) : null}
      {choice.mode === 'patterns' ? (
        <PatternsField
          choice={choice}
          matched={open.size}
          onChange={(patterns) => set({ patterns }, 'change Patterns', true)}
          onDone={done}
        />
      ) : (
        <div className="checks" role="group" aria-labelledby={id}>
          <span id={id} className="vh">
            Parts of these blocks
          </span>
          {BLOCK_PARTS.map((part) => (
            <Checkbox
              key={part}
              checked={choice.parts.includes(part)}
              onCheckedChange={(on) =>
                set({ parts: BLOCK_PARTS.filter((p) => (p === part ? on : choice.parts.includes(p))) }, 'change Parts')
              }
            >
              {PART_TITLE[part]}
            </Checkbox>
          ))}
        </div>
      )}
    </>
  )
}

function CountField({
  choice,
  most,
  onChange,
  onDone,
}: {
  choice: FreezeChoice
  most: number
  onChange: (count: number, going: boolean) => void
  onDone: () => void
}) {
  const [draft, setDraft] = useState<string | null>(null)
  return (
    <Input
      aria-label="Blocks"
      inputMode="numeric"
      unit={`of ${most} blocks`}
      value={draft ?? String(choice.count)}
      onChange={(event) => {
        setDraft(event.target.value)
        const typed = Number(event.target.value)
        if (/^\d+$/.test(event.target.value) && typed >= 1) onChange(typed, true)
      }}
      onKeyDown={(event) => {
        if (event.key !== 'ArrowUp' && event.key !== 'ArrowDown') return
        event.preventDefault()
        setDraft(null)
        onChange(Math.min(most, Math.max(1, choice.count + (event.key === 'ArrowUp' ? 1 : -1))), true)
      }}
      onBlur={() => {
        setDraft(null)
        onDone()
      }}
    />
  )
}

function BlocksField({ choice, onChange, onDone }: { choice: FreezeChoice; onChange: (blocks: number[]) => void; onDone: () => void }) {
  const [draft, setDraft] = useState<string | null>(null)
  return (
    <Input
      aria-label="Blocks that train"
      placeholder="none, for example 0-3, 12"
      value={draft ?? indexesText(choice.blocks)}
      invalid={draft !== null && parseIndexes(draft) === null}
      onChange={(event) => {
        setDraft(event.target.value)
        const parsed = parseIndexes(event.target.value)
        if (parsed) onChange(parsed)
      }}
      onBlur={() => {
        setDraft(null)
        onDone()
      }}
    />
  )
}

function PatternsField({
  choice,
  matched,
  onChange,
  onDone,
}: {
  choice: FreezeChoice
  matched: number
  onChange: (patterns: string[]) => void
  onDone: () => void
}) {
  const [draft, setDraft] = useState<string | null>(null)
  return (
    <FieldFrame
      label="Patterns"
      help={`Whole parameter names, one pattern a line; ${matched} match. * any characters, {20..29} each number.`}
    >
      {(ids) => (
        <Textarea
          id={ids.id}
          mono
          rows={Math.min(6, Math.max(2, choice.patterns.length))}
          value={draft ?? choice.patterns.join('\n')}
          {...(ids.describedBy && { describedBy: ids.describedBy })}
          onChange={(event) => {
            setDraft(event.target.value)
            onChange(parseLines(event.target.value))
          }}
          onBlur={() => {
            setDraft(null)
            onDone()
          }}
        />
      )}
    </FieldFrame>
  )
}

export function Legend({ blocks }: { blocks: number }) {
  return (
    <div className="legend">
      <span>
        <i className="key f" />
        Frozen
      </span>
      <span>
        <i className="key t" />
        Trainable
      </span>
      <span className="muted">{blocks - 1} is the output end</span>
    </div>
  )
}

/** The numbers that follow from a choice; all from headers, so they move with every cell (D-4: with unit and reference). */
export function layerCosts(model: ModelFacts, open: ReadonlySet<string>, choice: FreezeChoice) {
  const all = countAll(model.parameters)
  const trainable = model.parameters.reduce((sum, p) => (open.has(p.name) ? sum + sizeOf(p) : sum), 0)
  const { plan } = resolveFreeze(choice, model)
  const work = plan ? trainFlopsPerToken(model, plan, TYPICAL_TOKENS) / trainFlopsPerToken(model, null, TYPICAL_TOKENS) : null
  return {
    all,
    trainable,
    share: all > 0 ? trainable / all : 0,
    optimizer: optimizerBytes(trainable),
    optimizerAll: optimizerBytes(all),
    work,
  }
}

function Counts({ model, open, choice }: { model: ModelFacts; open: ReadonlySet<string>; choice: FreezeChoice }) {
  const costs = useMemo(() => layerCosts(model, open, choice), [model, open, choice])
  return (
    <div className="costs">
      <div className="row">
        <span className="big">{short(costs.trainable)}</span>
        <span className="muted">of {short(costs.all)} trainable</span>
        <span className="ml-auto font-semibold text-thaw-text">{percent(costs.share, 1)}</span>
      </div>
      <div className="stack" role="img" aria-label={`${percent(costs.share, 1)} of the parameters may change`}>
        <i className="t" style={{ flexGrow: costs.share }} />
        <i className="f" style={{ flexGrow: 1 - costs.share }} />
      </div>
      <dl>
        <div className="kv">
          <dt>Gradients and optimizer</dt>
          <dd>
            {bytes(costs.optimizer)} <span className="muted">of {bytes(costs.optimizerAll)}</span>
          </dd>
        </div>
        <div className="kv">
          <dt>Work per token</dt>
          <dd>
            {costs.work === null ? '–' : percent(costs.work)} <span className="muted">of training all</span>
          </dd>
        </div>
      </dl>
    </div>
  )
}
