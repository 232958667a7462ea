'use client'
import { type ReactNode, useState } from 'react'
import { PORT_WORDS, type PortKind } from '../../nodes/_kit/ports'
import { Button, IconButton } from '../ui/button'
import { Dialog, DialogClose } from '../ui/dialog'
import { Field, Input, Search, Textarea } from '../ui/field'
import { Icon, Mark } from '../ui/icon'
import { ICONS, type IconName } from '../ui/icons'
import { LayerStrip, StripCounts, type StripModel } from '../ui/layer-strip'
import { Menu, MenuAtPointer, type MenuEntry } from '../ui/menu'
import { Empty, Notice } from '../ui/notice'
import { Popover } from '../ui/popover'
import { PortMark } from '../ui/port-mark'
import { Select } from '../ui/select'
import { STATES, State, type StateName } from '../ui/state'
import { TabPanel, Tabs } from '../ui/tabs'
import { Bar, Count, Tag } from '../ui/tag'
import { ThemeSwitch } from '../ui/theme'
import { toast } from '../ui/toast'
import { Checkbox, Segmented, Slider, Switch } from '../ui/toggles'
import { Tip } from '../ui/tooltip'
import { RunSamples } from './run-samples'

const shares = (n: number, open: (i: number) => number): number[] => Array.from({ length: n }, (_, i) => open(i))
const STRIPS: { title: string; note: string; model: StripModel | null; adapter?: boolean; live?: boolean }[] = [
  { title: 'As loaded', note: '30 blocks at rest', model: { blocks: shares(30, () => 0) } },
  { title: 'Last 10', note: '20 frozen, 10 trainable', model: { blocks: shares(30, (i) => (i >= 20 ? 1 : 0)) } },
  {
    title: 'Probe plan',
    note: 'any blocks, not only the ends',
    model: { blocks: shares(30, (i) => ((i > 10 && i < 15) || (i > 21 && i < 27) ? 1 : 0)) },
  },
  { title: 'Adapter', note: 'frozen below, small weights above', model: { blocks: shares(30, () => 0.02) }, adapter: true },
  { title: 'Everything', note: 'with embeddings and head', model: { blocks: shares(30, () => 1), embeddings: 1, head: 1 } },
  { title: '12 blocks', note: 'cells widen, the strip does not', model: { blocks: shares(12, (i) => (i > 7 ? 1 : 0)) } },
  { title: '80 blocks', note: 'two blocks a cell', model: { blocks: shares(80, (i) => (i > 59 ? 1 : 0)) } },
  { title: 'Training', note: 'the open cells brighten', model: { blocks: shares(30, (i) => (i >= 20 ? 1 : 0)) }, live: true },
  { title: 'No model', note: 'empty, hatched', model: null },
]

const MENU: readonly MenuEntry[] = [
  { label: 'Run all', icon: 'play', shortcut: '⌘↵', onSelect: () => toast('Run all') },
  { label: 'Run to here', icon: 'arrow', shortcut: '⇧⌘↵', note: '4 nodes, about 2 min', onSelect: () => {} },
  { label: 'Run from here', icon: 'extend', disabled: true, onSelect: () => {} },
  { kind: 'separator' },
  { kind: 'check', label: 'Minimap', checked: true, onChange: () => {} },
  {
    kind: 'sub',
    label: 'Align',
    icon: 'sliders',
    items: [
      { label: 'Left', onSelect: () => {} },
      { label: 'Top', onSelect: () => {} },
    ],
  },
  { kind: 'separator' },
  { label: 'Delete', icon: 'trash', danger: true, shortcut: 'Del', onSelect: () => {} },
]

const SECTIONS = ['Colour', 'Strip', 'Ports', 'States', 'Controls', 'Messages', 'Runs', 'Icons'] as const

export function DesignPage() {
  return (
    <div className="page">
      <div className="mx-auto w-full max-w-[1320px] px-6 pb-24">
        <header className="row h-16 border-line border-b">
          <Mark size={26} />
          <b className="text-16">Thaw</b>
          <span className="muted">Components</span>
          <nav className="row ml-auto" aria-label="Sections">
            {SECTIONS.map((name) => (
              <Button key={name} variant="ghost" asChild>
                <a href={`#${name}`}>{name}</a>
              </Button>
            ))}
            <ThemeSwitch />
          </nav>
        </header>
        <main>
          <h1 className="vh">Components</h1>
          <Colour />
          <Section
            name="Strip"
            text="A model as it is, block by block, input left and output right. Small round caps are embeddings and head."
          >
            <div className="grid grid-cols-3 gap-x-8 gap-y-5 lg:grid-cols-5">
              {STRIPS.map((s) => (
                <div key={s.title}>
                  <LayerStrip model={s.model} adapter={s.adapter ?? false} live={s.live ?? false} />
                  <b className="mt-2 block text-12">{s.title}</b>
                  <span className="muted text-12">{s.note}</span>
                </div>
              ))}
            </div>
            <div className="mt-6 grid max-w-[560px] gap-2">
              <LayerStrip size="lg" model={{ blocks: shares(30, (i) => (i >= 20 ? 1 : 0)) }} />
              <StripCounts model={{ blocks: shares(30, (i) => (i >= 20 ? 1 : 0)) }} />
            </div>
          </Section>
          <Section name="Ports" text="Every kind has its own shape and its own colour.">
            <div className="flex flex-wrap gap-8">
              {(Object.keys(PORT_WORDS) as PortKind[]).map((kind) => (
                <div key={kind} className="row text-12">
                  <PortMark kind={kind} />
                  <PortMark kind={kind} hollow />
                  {PORT_WORDS[kind].one}
                </div>
              ))}
            </div>
          </Section>
          <Section name="States" text="Icon and word together, never colour alone.">
            <div className="flex flex-wrap gap-x-8 gap-y-3">
              {(Object.keys(STATES) as StateName[]).map((state) => (
                <State key={state} state={state} />
              ))}
              <State state="running" training>
                63 %
              </State>
              <State state="done">2 min 04 s</State>
              <State state="reused">run 14</State>
            </div>
            <div className="mt-5 grid max-w-[560px] gap-3">
              <Bar value={63} max={100} training label="Training" />
              <Bar value={41} max={100} label="Reading rows" />
              <Bar value={63} max={100} training large label="Training, large" />
            </div>
          </Section>
          <Controls />
          <Messages />
          <Section name="Runs" text="The same components as in the run panel, fed with a recorded run.">
            <RunSamples />
          </Section>
          <Section name="Icons" text="16 px grid, 1.4 px stroke, round ends, no fill.">
            <div className="flex flex-wrap gap-2">
              {(Object.keys(ICONS) as IconName[]).map((name) => (
                <Tip key={name} content={name}>
                  <span className="grid size-9 place-items-center rounded-control border border-line bg-surface">
                    <Icon name={name} label={name} />
                  </span>
                </Tip>
              ))}
            </div>
          </Section>
        </main>
      </div>
    </div>
  )
}

function Section({ name, text, children }: { name: (typeof SECTIONS)[number]; text: string; children: ReactNode }) {
  return (
    <section id={name} className="border-line border-b py-7 last:border-0" aria-labelledby={`${name}-title`}>
      <header className="mb-5 flex items-baseline gap-6">
        <h2 id={`${name}-title`} className="font-semibold text-20 tracking-tight">
          {name}
        </h2>
        <p className="soft">{text}</p>
      </header>
      {children}
    </section>
  )
}

function Colour() {
  const tones = [
    { pair: 'ice', title: 'Frozen', text: 'Weights that stay exactly as they were. Outlined, low, hatched at large sizes.' },
    { pair: 'thaw', title: 'Trainable', text: 'Weights that may change, and the training that changes them. Solid and tall.' },
  ] as const
  const greys = ['ground', 'sunken', 'surface', 'hover', 'active', 'line', 'line-strong', 'line-control', 'ink-3', 'ink-2', 'ink']
  return (
    <Section name="Colour" text="One loud pair. Ice is frozen, amber-coral is trainable, and neither is ever used for anything else.">
      <div className="grid gap-4 md:grid-cols-2">
        {tones.map(({ pair, title, text }) => (
          <div key={pair} className="card p-5">
            <LayerStrip size="lg" className="max-w-[260px]" model={{ blocks: shares(14, () => (pair === 'ice' ? 0 : 1)) }} />
            <h3 className="mt-3 font-semibold text-20" style={{ color: `var(--${pair}-text)` }}>
              {title}
            </h3>
            <p className="soft">{text}</p>
            <div className="mt-3 flex flex-wrap gap-6">
              {['-wash', '-fill', '', '-text'].map((tone) => (
                <div key={tone} className="row">
                  <span className="size-9 rounded-control border border-line" style={{ background: `var(--${pair}${tone})` }} />
                  <span className="mono muted">{`--${pair}${tone}`}</span>
                </div>
              ))}
            </div>
          </div>
        ))}
      </div>
      <div className="mt-4 grid grid-cols-6 gap-2 lg:grid-cols-11">
        {greys.map((name) => (
          <div key={name} className="text-12">
            <span className="mb-1 block h-9 rounded-control border border-line" style={{ background: `var(--${name})` }} />
            {name}
          </div>
        ))}
      </div>
    </Section>
  )
}

function Controls() {
  const [text, setText] = useState('3e-4')
  const [rate, setRate] = useState(3e-4)
  const [choice, setChoice] = useState('cosine')
  const [on, setOn] = useState(true)
  const [ticked, setTicked] = useState<boolean>(true)
  const [which, setWhich] = useState<'all' | 'none' | 'first' | 'last'>('last')
  const [tab, setTab] = useState<'settings' | 'data' | 'run'>('settings')
  const [find, setFind] = useState('')
  return (
    <Section name="Controls" text="Ink does the work of an accent colour.">
      <div className="grid gap-8 lg:grid-cols-2">
        <div className="grid min-w-0 content-start gap-3">
          {(['primary', 'secondary', 'ghost', 'danger'] as const).map((variant) => (
            <div key={variant} className="row">
              <span className="w-20 text-12 text-ink-3">{variant}</span>
              <Button variant={variant} icon={variant === 'primary' ? 'play' : 'check'}>
                Run
              </Button>
              <Button variant={variant} className="is-hover">
                Hover
              </Button>
              <Button variant={variant} className="is-active">
                Pressed
              </Button>
              <Button variant={variant} className="is-focus">
                Focus
              </Button>
              <Button variant={variant} disabled>
                Disabled
              </Button>
              <Button variant={variant} size="sm">
                Small
              </Button>
            </div>
          ))}
          <div className="row mt-2">
            <Button variant="primary" icon="play" pulse kbd="⌘↵">
              Run
            </Button>
            <span className="split ml-3">
              <Button variant="primary" icon="play">
                Run
              </Button>
              <Menu trigger={<IconButton icon="down" label="Run options" variant="primary" tip={false} />} items={MENU} align="end" />
            </span>
            <IconButton icon="undo" label="Undo: move 3 nodes" shortcut="⌘Z" />
            <Menu trigger={<Button caret>Share</Button>} items={MENU} />
            <MenuAtPointer items={MENU}>
              <span className="rounded-control border border-line-control border-dashed px-3 py-1 text-12">right click here</span>
            </MenuAtPointer>
          </div>
          <div className="row mt-2 flex-wrap">
            <Popover trigger={<Button>Popover</Button>} label="How this is counted">
              <p className="max-w-[260px] text-12">Weights, gradients and two moments for each trainable number.</p>
            </Popover>
            <Dialog
              trigger={<Button>Dialog</Button>}
              title="Rerun with new data"
              description="Contract fields"
              footer={
                <>
                  <span className="muted ml-auto text-12">about 2 min</span>
                  <DialogClose>
                    <Button>Cancel</Button>
                  </DialogClose>
                  <Button variant="primary">Start</Button>
                </>
              }
            >
              <p>Everything that depends on the file runs again; the rest is reused.</p>
            </Dialog>
            <Button
              onClick={() => toast('Train replaced. Two wires were lost.', { label: 'Undo', onPress: () => toast('Back as it was.') })}
            >
              Toast
            </Button>
            <span className="row flex-wrap">
              <kbd>⌘K</kbd>
              <Tag>shipped</Tag>
              <Tag tone="ice">20 frozen</Tag>
              <Tag tone="thaw">10 trainable</Tag>
              <Tag tone="ok" icon="check">
                Healthy
              </Tag>
              <Tag tone="warn">stale</Tag>
              <Tag tone="bad">failed</Tag>
              <Count value={3} />
              <Count value={1} tone="bad" label="problem" />
            </span>
          </div>
          <div className="card mt-2">
            <Tabs
              label="Inspector"
              value={tab}
              onValueChange={setTab}
              items={[
                { value: 'settings', label: 'Settings' },
                { value: 'data', label: 'Data', count: 3 },
                { value: 'run', label: 'Run' },
              ]}
            >
              {(['settings', 'data', 'run'] as const).map((value) => (
                <TabPanel key={value} value={value}>
                  <p className="p-4 text-12">The {value} panel.</p>
                </TabPanel>
              ))}
            </Tabs>
          </div>
        </div>
        <div className="grid grid-cols-2 content-start gap-x-6 gap-y-4">
          <Field label="Learning rate" aside="default" help="Size of one step.">
            {(ids) => (
              <div className="grid gap-1">
                <Input {...ids} value={text} onChange={(e) => setText(e.target.value)} unit="per step" />
                <Slider
                  label="Learning rate"
                  log
                  min={1e-6}
                  max={1e-2}
                  value={rate}
                  onValueChange={setRate}
                  format={(v) => v.toExponential(1)}
                />
              </div>
            )}
          </Field>
          <Field
            label="Batch size"
            aside={
              <button type="button" className="def">
                reset to 8
              </button>
            }
            error="32 won't fit. It needs 3.1 GB; 1.8 GB is free."
          >
            {(ids) => <Input {...ids} defaultValue="32" unit="rows" />}
          </Field>
          <Field label="Scheduler">
            {(ids) => (
              <Select
                {...ids}
                value={choice}
                onValueChange={setChoice}
                options={[
                  { value: 'cosine', label: 'Cosine', note: 'Falls slowly, then fast' },
                  { value: 'linear', label: 'Linear' },
                  { value: '', label: 'None' },
                ]}
              />
            )}
          </Field>
          <Field label="Warm-up">{(ids) => <Input {...ids} defaultValue="6" unit="steps" disabled />}</Field>
          <Field label="Which blocks" className="col-span-2">
            {(ids) => (
              <Segmented
                id={ids.id}
                fill
                value={which}
                onValueChange={setWhich}
                items={[
                  { value: 'all', label: 'All' },
                  { value: 'none', label: 'None' },
                  { value: 'first', label: 'First n' },
                  { value: 'last', label: 'Last n' },
                ]}
              />
            )}
          </Field>
          <div className="row">
            <Switch label="Norms" checked={on} onCheckedChange={setOn} />
            <Switch label="Embeddings" thaw checked={on} onCheckedChange={setOn} />
            <Checkbox checked={ticked} onCheckedChange={setTicked}>
              Keep the split
            </Checkbox>
            <Checkbox label="Some" checked="indeterminate" onCheckedChange={() => {}} />
          </div>
          <Search value={find} onValueChange={setFind} label="Find a node" shortcut="/" />
          <Field label="Notes" className="col-span-2">
            {(ids) => <Textarea {...ids} defaultValue="Contracts in, fields out." />}
          </Field>
        </div>
      </div>
    </Section>
  )
}

function Messages() {
  return (
    <Section name="Messages" text="Say what happened, what it means and what one click can do.">
      <div className="grid gap-4 md:grid-cols-3">
        <Notice
          tone="error"
          title="Train · Batch size"
          actions={
            <>
              <Button size="sm">Use 8, accumulate 4</Button>
              <Button size="sm" variant="ghost">
                How this is counted
              </Button>
            </>
          }
        >
          32 won’t fit. It needs about 3.1 GB; 1.8 GB is free.
        </Notice>
        <Notice tone="warning" title="Freeze layers · after Train" actions={<Button size="sm">Move before Train</Button>}>
          Freezing after training has no effect.
        </Notice>
        <Notice title="Fallback engine" aside={<Tag>wasm</Tag>}>
          TensorFlow is not installed; training takes about six times as long.
        </Notice>
        <Empty icon="history" title="No runs yet" framed action={<Button icon="play">Run</Button>}>
          Each run is kept here with its settings, data and result.
        </Empty>
        <div className="toast self-start">
          <span>3 nodes moved</span>
          <button type="button">Undo</button>
        </div>
      </div>
    </Section>
  )
}
