/** The editor by mouse and keys in a real browser: building, editing, saving, problems, layers, looks for everybody. Nothing is run here. */
import type { Page } from 'playwright-core'
import { expect, test } from 'vitest'
import { axe, shot } from '../kit/browser'
import { onProduct } from '../kit/e2e'
import { EditorPage } from '../kit/editor-page'
import { until } from '../kit/wait'

const on = onProduct()
const LIMIT = 120_000

type Saved = {
  id: string
  revision: number
  document: {
    nodes: Record<string, { params: Record<string, unknown> }>
    edges: unknown[]
    layout: { nodes: Record<string, { x: number; y: number; title?: string }> }
  }
}

/** Asks the server as the page would, with its cookie. */
const ask = <T>(page: Page, path: string, input: unknown, how: 'query' | 'mutation' = 'mutation'): Promise<T> =>
  page.evaluate(
    async ({ path, input, how }) => {
      const body = JSON.stringify({ json: input })
      const answer =
        how === 'query'
          ? await fetch(`/api/trpc/${path}?input=${encodeURIComponent(body)}`)
          : await fetch(`/api/trpc/${path}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
      return (await answer.json()).result?.data?.json
    },
    { path, input, how },
  )
const savedAs = (page: Page, id: string) => ask<Saved>(page, 'pipelines.get', { id }, 'query')
const idIn = (page: Page) => page.url().split('/').at(-1)?.split('?')[0] ?? ''

async function blank(page: Page): Promise<EditorPage> {
  const { id } = await ask<{ id: string }>(page, 'pipelines.create', { name: 'Made by a test' })
  await page.goto(`${new URL(page.url()).origin}/pipelines/${id}`)
  await page.getByText('Add first node').waitFor()
  return new EditorPage(page)
}
async function template(page: Page, name = 'contract-fields'): Promise<EditorPage> {
  const { id } = await ask<{ id: string }>(page, 'pipelines.create', { template: name })
  await page.goto(`${new URL(page.url()).origin}/pipelines/${id}`)
  const editor = new EditorPage(page)
  await editor.card('Train').waitFor()
  await page
    .getByText(/trainable/)
    .first()
    .waitFor()
  return editor
}
const clean = (page: Page) => until('the work to be saved', async () => /^Saved/.test((await page.locator('.saved').textContent()) ?? ''))
const focused = (page: Page) => page.evaluate(() => document.activeElement?.getAttribute('data-node') ?? null)
const undoLabel = async (page: Page) => (await page.getByRole('button', { name: /^Undo/ }).first().getAttribute('aria-label')) ?? ''

async function middleOf(page: Page, selector: string) {
  const box = await page.locator(selector).first().boundingBox()
  if (!box) throw new Error(`${selector} is not on the screen`)
  return { x: box.x + box.width / 2, y: box.y + box.height / 2 }
}

test(
  'UX-5, UX-27, UX-30, UX-28: nodes are added from the centre, from a dropped wire, by double click and on a wire',
  () =>
    on.session({}, async ({ page }) => {
      const editor = await blank(page)
      await page.getByText('Add first node').click()
      await page.keyboard.type('load mod')
      await page.keyboard.press('Enter')
      await editor.card('Load model').waitFor()
      expect(await focused(page)).toBe('load-model')

      // A wire dropped on empty canvas: only what takes a model, Escape first, then Enter.
      const out = await middleOf(page, '[data-port="load-model.model"].out')
      const drop = async () => {
        await page.mouse.move(out.x, out.y)
        await page.mouse.down()
        await page.mouse.move(out.x + 60, out.y + 40, { steps: 5 })
        await page.mouse.move(out.x + 140, out.y + 90, { steps: 5 })
        await page.mouse.up()
      }
      await drop()
      const list = page.getByRole('dialog', { name: 'Add a node' })
      await list.waitFor()
      expect(await list.getByRole('option').allTextContents()).not.toContainEqual(expect.stringContaining('Load data'))
      await page.keyboard.press('Escape')
      await list.waitFor({ state: 'detached' })
      await editor.waitForWires(0)
      await drop()
      await page.keyboard.type('export')
      await page.keyboard.press('Enter')
      await editor.card('Export').waitFor()
      await editor.waitForWires(1)

      // ＋ in the middle of the wire: only what has both ends.
      await page.locator('.wire-plus').first().click({ force: true })
      await list.waitFor()
      expect((await list.getByRole('option').count()) > 0).toBe(true)
      await page.keyboard.type('freeze')
      await page.keyboard.press('Enter')
      await editor.card('Freeze layers').waitFor()
      await editor.waitForWires(2)

      const frame = await page.locator('[data-canvas]').boundingBox()
      await page.mouse.dblclick((frame?.x ?? 0) + 60, (frame?.y ?? 0) + 60)
      await list.waitFor()
      await page.keyboard.type('split')
      await page.keyboard.press('Enter')
      await editor.card('Split data').waitFor()
      await clean(page)
      const saved = await savedAs(page, idIn(page))
      expect(Object.keys(saved.document.nodes).sort()).toEqual(['export', 'freeze-layers', 'load-model', 'split-data'])
      expect(saved.document.edges).toHaveLength(2)
    }),
  LIMIT,
)

test(
  'UX-33, UX-43: dragging a node is one entry on the 16 px grid, undone and redone exactly; UX-49: it makes nothing stale',
  () =>
    on.session({}, async ({ page }) => {
      const editor = await template(page)
      const place = async () => (await savedAs(page, idIn(page))).document.layout.nodes.train
      const before = await place()
      const at = await middleOf(page, '[data-node="train"] .hd')
      await page.mouse.move(at.x, at.y)
      await page.mouse.down()
      await page.mouse.move(at.x + 30, at.y + 41, { steps: 8 })
      await page.mouse.move(at.x + 75, at.y + 58, { steps: 8 })
      await page.mouse.up()
      expect(await undoLabel(page)).toBe('Undo: move Train')
      await clean(page)
      const moved = await place()
      expect(moved).not.toEqual(before)
      expect([(moved?.x ?? 1) % 16, (moved?.y ?? 1) % 16].map(Math.abs)).toEqual([0, 0])
      await page.keyboard.press('Control+z')
      expect(await undoLabel(page)).toBe('Undo')
      await clean(page)
      expect(await place()).toEqual(before)
      await page.keyboard.press('Control+Shift+z')
      await clean(page)
      expect(await place()).toEqual(moved)
      expect(await editor.stateOf('Train')).toBe('Not run')
    }),
  LIMIT,
)

test(
  'UX-38, UX-31, UX-37, UX-112: delete reconnects and offers Undo; copy, paste, duplicate, select all, disable',
  () =>
    on.session({}, async ({ page, context }) => {
      await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: on.product().origin })
      const editor = await template(page)
      const all = (await editor.ids()).length
      const wires = await editor.wires()
      await editor.select('Freeze layers')
      await page.keyboard.press('Delete')
      await editor.card('Freeze layers').waitFor({ state: 'detached' })
      await editor.waitForWires(wires - 1)
      await page.getByRole('status').getByRole('button', { name: 'Undo' }).click()
      await editor.card('Freeze layers').waitFor()
      await editor.waitForWires(wires)

      await editor.select('Train')
      await page.keyboard.press('Control+c')
      const text = await until('the clipboard', async () => {
        const now = await page.evaluate(() => navigator.clipboard.readText())
        return now.includes('thaw-fragment') ? now : null
      })
      expect(JSON.parse(text)).toMatchObject({ kind: 'thaw-fragment', v: 1 })
      await page.keyboard.press('Control+v')
      await until('the pasted node', async () => (await editor.ids()).length === all + 1)
      await page.keyboard.press('Control+d')
      await until('the duplicate', async () => (await editor.ids()).length === all + 2)
      await page.keyboard.press('m')
      await until('it to be disabled', async () => (await page.locator('.node.is-disabled').count()) === 1)
      await page.keyboard.press('Control+a')
      await page.getByRole('heading', { name: `${all + 2} nodes` }).waitFor()
      await page.evaluate(() => navigator.clipboard.writeText('hello'))
      await page.keyboard.press('Control+v')
      await page.getByText('That isn’t a Thaw fragment.').first().waitFor()
    }),
  LIMIT,
)

test(
  'UX-81, UX-29, UX-34, UX-35, UX-36, UX-125, UX-44, UX-47: a port says what it carries; groups fold, tidy up, a note, replace; then a named version, what differs, and back',
  () =>
    on.session({}, async ({ page }) => {
      const editor = await template(page)
      const layout = async () => (await savedAs(page, idIn(page))).document.layout
      const wires = await editor.wires()
      // UX-81: resting on a port says what it carries; leaving closes it.
      for (const port of [
        editor.port('out', await editor.idOf('Freeze layers'), 'model'),
        editor.port('in', await editor.idOf('Train'), 'data'),
      ]) {
        await port.hover()
        await page.locator('.peek').waitFor()
        await page.mouse.move(400, 700)
        await page.locator('.peek').waitFor({ state: 'detached' })
      }
      await editor.select('Load model')
      await editor
        .card('Freeze layers')
        .getByText('Freeze layers')
        .first()
        .click({ modifiers: ['Shift'] })
      await page.keyboard.press('Control+g')
      await page.getByLabel('Name of the group').waitFor()
      await page.keyboard.type('The model')
      await page.keyboard.press('Enter')
      const group = editor.canvas.getByRole('group', { name: 'Group The model, 2 nodes' })
      await group.waitFor()
      await group.getByRole('button', { name: 'Fold The model' }).click()
      await editor.card('Freeze layers').waitFor({ state: 'detached' })
      // The wire inside is hidden, the one that leaves the group ends at its box.
      await editor.waitForWires(wires - 1)
      await shot(page, 'group-folded')
      expect.soft(await axe(page)).toEqual([])
      await group.getByRole('button', { name: 'Unfold The model' }).click()
      await editor.card('Freeze layers').waitFor()

      await clean(page)
      const before = await layout()
      await page.getByRole('button', { name: 'Tidy up' }).click()
      expect(await undoLabel(page)).toMatch(/^Undo: tidy up/)
      await clean(page)
      expect((await layout()).nodes).not.toEqual(before.nodes)
      await editor.card('Train').focus()
      await page.keyboard.press('n')
      await page.getByRole('textbox', { name: 'Note', exact: true }).waitFor()
      await page.keyboard.type('Mind the rate')
      await page.keyboard.press('Escape')
      await editor.canvas.getByText('Mind the rate').waitFor()

      await page.keyboard.press('Control+s')
      const history = page.getByRole('dialog', { name: 'History' })
      await history.getByRole('textbox', { name: 'Name for a version of now' }).waitFor()
      await page.keyboard.type('Before the swap')
      await page.keyboard.press('Enter')
      await history.getByRole('button', { name: /Before the swap/ }).waitFor()
      await page.keyboard.press('Escape')

      await editor.select('Export')
      await page.keyboard.press('r')
      await page.getByRole('dialog', { name: 'Add a node' }).waitFor()
      await page.keyboard.type('split')
      await page.keyboard.press('Enter')
      await editor.card('Split data').nth(1).waitFor()
      await page.getByRole('button', { name: 'History' }).click()
      await history.getByRole('button', { name: /Before the swap/ }).click()
      await history.getByText('Export').first().waitFor()
      await history.getByRole('cell', { name: 'Split data' }).first().waitFor()
      await shot(page, 'history')
      expect.soft(await axe(page)).toEqual([])
      await history.getByRole('button', { name: /^Restore version/ }).click()
      await editor.card('Export').waitFor()
      expect(await undoLabel(page)).toMatch(/^Undo: restore version/)
      await clean(page)
      const versions = await ask<{ reason: string }[]>(page, 'pipelines.versions', { id: idIn(page) }, 'query')
      expect(versions.map((version) => version.reason).slice(0, 2)).toEqual(['restore', 'save'])
    }),
  LIMIT,
)

test(
  'UX-105, UX-111, UX-113, UX-128, UX-130: built, walked and moved with the keyboard alone',
  () =>
    on.session({}, async ({ page }) => {
      const editor = await blank(page)
      await page.getByText('Add first node').focus()
      await page.keyboard.press('Enter')
      await page.keyboard.type('load model')
      await page.keyboard.press('Enter')
      await until('the first node to have the focus', async () => (await focused(page)) === 'load-model')
      // C, then a new node that fits; it is wired and has the focus.
      await page.keyboard.press('c')
      await page.keyboard.type('add freeze')
      await page.keyboard.press('Enter')
      await until('the second', async () => (await focused(page)) === 'freeze-layers')
      await page.keyboard.press('c')
      await page.keyboard.type('add train model')
      await page.keyboard.press('Enter')
      await until('the third', async () => (await focused(page)) === 'train')
      await editor.waitForWires(2)
      // One tab stop for the canvas.
      await until('one tab stop', async () => (await page.locator('[data-node][tabindex="0"]').count()) === 1)
      await page.keyboard.press('ArrowLeft')
      await until('upstream', async () => (await focused(page)) === 'freeze-layers')
      await page.keyboard.press('ArrowLeft')
      await until('the start', async () => (await focused(page)) === 'load-model')
      await page.keyboard.press('ArrowRight')
      await until('downstream', async () => (await focused(page)) === 'freeze-layers')
      await clean(page)
      const before = (await savedAs(page, idIn(page))).document.layout.nodes['freeze-layers']
      for (let i = 0; i < 3; i++) await page.keyboard.press('Alt+ArrowDown')
      await page.keyboard.press('Shift+Alt+ArrowDown')
      await until('the moves to be saved', async () => {
        const after = (await savedAs(page, idIn(page))).document.layout.nodes['freeze-layers']
        return (after?.y ?? 0) - (before?.y ?? 0) === 3 * 16 + 64
      })
      // Enter opens the settings, Escape comes back.
      await page.keyboard.press('Enter')
      await until('the settings', async () => page.evaluate(() => document.activeElement?.closest('[data-inspector]') !== null))
      await page.keyboard.press('Escape')
      await until('the canvas', async () => (await focused(page)) === 'freeze-layers')
      // F6 goes from region to region and comes round.
      const seen = new Set<string>()
      for (let i = 0; i < 6; i++) {
        await page.keyboard.press('F6')
        seen.add(await page.evaluate(() => document.activeElement?.closest<HTMLElement>('[data-region]')?.dataset.region ?? 'none'))
      }
      expect([...seen].sort()).toEqual(['canvas', 'nodes', 'run', 'settings', 'top'])
    }),
  LIMIT,
)

test(
  'UX-42: layers are marked by dragging and by keys, counts follow, one gesture is one entry; the large view is the same grid',
  () =>
    on.session({}, async ({ page }) => {
      const editor = await template(page)
      await editor.select('Freeze layers')
      const costs = page.locator('.costs')
      await costs.getByText('35.4 M').waitFor()
      const cell = (key: string) => `[data-inspector] [data-cell="${key}"]`
      const from = await middleOf(page, cell('19.attention'))
      const to = await middleOf(page, cell('15.attention'))
      await page.mouse.move(from.x, from.y)
      await page.mouse.down()
      await page.mouse.move(to.x, to.y, { steps: 12 })
      await page.mouse.up()
      await until('five more cells', async () => (await page.locator('[data-inspector] .c.t').count()) === 35)
      expect(await undoLabel(page)).toBe('Undo: choose layers')
      expect(await page.getByRole('textbox', { name: 'Patterns' }).inputValue()).toContain('self_attn')
      await page.getByRole('button', { name: 'Undo: choose layers' }).click()
      await until('all of it undone', async () => (await page.locator('[data-inspector] .c.t').count()) === 30)
      expect(await undoLabel(page)).toBe('Undo')

      // Space switches a cell, Shift the whole block.
      await page.locator(cell('29.attention')).focus()
      for (let i = 0; i < 10; i++) await page.keyboard.press('ArrowDown')
      await page.keyboard.press('Shift+Space')
      await until('one more block', async () => (await page.locator('[data-inspector] .c.t').count()) === 33)
      expect(await editor.field('Blocks').inputValue()).toBe('11')

      await page.getByRole('button', { name: 'Open large' }).click()
      const large = page.getByRole('region', { name: 'Layers of Freeze layers' })
      await large.waitFor()
      await shot(page, 'layers-large')
      await large.locator('[data-cell="0.mlp"]').click()
      await until('the block in large', async () => (await large.locator('.c.t').count()) === 34)
      expect.soft(await axe(page)).toEqual([])
      await page.keyboard.press('Escape')
      await large.waitFor({ state: 'detached' })
    }),
  LIMIT,
)

test(
  'UX-40, UX-41, UX-86, UX-85: fields come with defaults and resets; what is wrong is said at the field, in Check and by F8, with its repair',
  () =>
    on.session({}, async ({ page }) => {
      const editor = await template(page)
      await editor.select('Train')
      const rate = editor.field('Learning rate')
      await rate.fill('0,5')
      await editor.settings.getByText('is not a number').waitFor()
      expect(await rate.getAttribute('aria-invalid')).toBe('true')
      await rate.fill('0.05')
      await rate.press('Tab')
      await editor.settings.getByText('Rates above 0.01').waitFor()
      await editor.settings.getByRole('button', { name: 'Choose automatically' }).click()
      expect(await rate.inputValue()).toBe('')
      expect(await rate.getAttribute('placeholder')).toBe('auto: 5e-4')
      await editor.fill('Epochs', '0')
      await editor.settings.getByText('Epochs must be').waitFor()
      await page
        .getByRole('banner')
        .getByRole('button', { name: /^Check/ })
        .click()
      await page.getByRole('dialog', { name: 'Problems' }).getByRole('button', { name: 'Train · Epochs' }).click()
      await until('the field to have the focus', async () =>
        page.evaluate(() => (document.activeElement as HTMLInputElement | null)?.value === '0'),
      )
      await editor.select('Load model')
      await page.keyboard.press('F8')
      await until('F8 to lead there', async () => page.evaluate(() => (document.activeElement as HTMLInputElement | null)?.value === '0'))
      // A run does not start with a problem in it (UX-68).
      await page.keyboard.press('Escape')
      await editor.button('Run').click()
      await page.getByRole('dialog', { name: 'Problems' }).waitFor()
      await page.keyboard.press('Escape')
      await editor.select('Train')
      await editor.settings.getByRole('button', { name: /^reset.* Epochs/ }).click()
      expect(await editor.field('Epochs').inputValue()).toBe('3')
      await until('nothing to fix', async () => /problem/.test((await editor.card('Train').getAttribute('aria-label')) ?? '') === false)
    }),
  LIMIT,
)

test(
  'UX-44, UX-45, UX-46: saved after 800 ms; unsaved edits are offered after a crash; a save in between is a choice, never a loss',
  () =>
    on.session({}, async ({ page, context }) => {
      const editor = await template(page)
      const id = idIn(page)
      const { revision } = await savedAs(page, id)
      await editor.select('Train')
      await editor.fill('Epochs', '5')
      await clean(page)
      expect((await savedAs(page, id)).revision).toBe(revision + 1)

      // The browser dies within the 800 ms: the edit lies in its storage.
      await context.route('**/api/trpc/pipelines.save**', (route) => route.abort('aborted'))
      await editor.fill('Epochs', '7')
      await page.evaluate(() => Object.keys(localStorage).some((key) => key.startsWith('thaw:draft:')))
      await context.unroute('**/api/trpc/pipelines.save**')
      await page.evaluate(() => {
        // What a crash leaves behind: storage, and no goodbye to the server.
        const draft = Object.entries(localStorage).find(([key]) => key.startsWith('thaw:draft:'))
        if (draft) sessionStorage.setItem('kept', JSON.stringify(draft))
      })
      await clean(page)
      const now = await savedAs(page, id)
      await page.evaluate(
        ({ id, revision, document }) => {
          document.nodes.train.params.num_train_epochs = 9
          localStorage.setItem(`thaw:draft:${id}`, JSON.stringify({ document, revision, at: Date.now() }))
        },
        { id, revision: now.revision, document: now.document as never as { nodes: { train: { params: Record<string, unknown> } } } },
      )
      await page.reload()
      await page.getByText(/Edits from .* were not saved/).waitFor()
      await page.getByRole('button', { name: 'Restore them' }).click()
      await editor.select('Train')
      expect(await editor.field('Epochs').inputValue()).toBe('9')
      await clean(page)

      // Somebody else saves.
      const mine = await savedAs(page, id)
      await ask(page, 'pipelines.save', {
        id,
        revision: mine.revision,
        document: { ...mine.document, notes: [{ id: 'n', text: 'From elsewhere', x: 0, y: -160 }] },
      })
      await editor.fill('Epochs', '4')
      await page.getByText(/Saved elsewhere at/).waitFor()
      await page.getByRole('button', { name: 'Show what was saved' }).click()
      await page.getByText('From elsewhere').first().waitFor()
      await editor.select('Train')
      expect(await editor.field('Epochs').inputValue()).toBe('9')
    }),
  LIMIT,
)

test(
  'UX-5, UX-39, UX-40: a file dropped on the canvas becomes a Load data node with what was found in it',
  () =>
    on.session({}, async ({ page }) => {
      const editor = await blank(page)
      const rows = Array.from({ length: 12 }, (_, i) => JSON.stringify({ prompt: `Question ${i}`, completion: `Answer ${i}` })).join('\n')
      const transfer = await page.evaluateHandle((text) => {
        const data = new DataTransfer()
        data.items.add(new File([text], 'mine.jsonl'))
        return data
      }, rows)
      await page.dispatchEvent('[data-canvas]', 'drop', { dataTransfer: transfer, clientX: 500, clientY: 300 })
      await editor.card('Load data').waitFor()
      await editor.settings.getByText('prompt and completion').waitFor()
      await editor.settings.getByText('12 ·').waitFor()
      expect(await editor.card('Load data').textContent()).toContain('mine.jsonl')
    }),
  LIMIT,
)

test(
  'UX-11, UX-15, UX-16: minimap from 15 nodes, titles only when far away, panels fold and stay folded for this viewer',
  () =>
    on.session({}, async ({ page }) => {
      const editor = await template(page)
      expect(await page.locator('.react-flow__minimap').count()).toBe(0)
      await editor.select('Train')
      await page.keyboard.press('Control+a')
      await page.keyboard.press('Control+d')
      await page.locator('.react-flow__minimap').waitFor()
      await page.getByRole('button', { name: 'Fit everything' }).click()
      for (let i = 0; i < 6; i++) await page.getByRole('button', { name: 'Zoom out' }).click()
      await page.locator('.far-title').first().waitFor()
      // The run panel opens by a press on any of its tabs, also on the one that is shown, and stays open for the next.
      const tall = async () => ((await editor.runPanel.boundingBox())?.height ?? 0) > 100
      expect(await tall()).toBe(false)
      await page.getByRole('tab', { name: 'Log' }).click()
      await until('the run panel to open', tall)
      await page.getByRole('tab', { name: 'Progress' }).click()
      expect(await tall()).toBe(true)
      await editor.button('Fold the run panel').click()
      await until('it to fold', async () => !(await tall()))
      await page.getByRole('tab', { name: 'Progress' }).click()
      await until('it to open again', tall)
      await page.getByRole('button', { name: 'Fold', exact: true }).click()
      await page.getByRole('button', { name: 'Show the nodes' }).waitFor()
      await page.reload()
      await page.getByRole('button', { name: 'Show the nodes' }).waitFor()
    }),
  LIMIT,
)

test(
  'UX-6: a wrong link says so and leads on; a list of runs without runs names the next step',
  () =>
    on.session({}, async ({ page, expectProblems }) => {
      expectProblems(/404/)
      const { origin } = new URL(page.url())
      for (const path of ['/pipelines/none', '/runs/none', '/nowhere']) {
        await page.goto(`${origin}${path}`)
        await page.getByText('Nothing is at this address').waitFor()
        await page.getByRole('link', { name: 'Start page' }).waitFor()
      }
      expect.soft(await axe(page)).toEqual([])
      await page.goto(`${origin}/pipelines/${crypto.randomUUID()}`)
      await page.getByText('There is no such pipeline').waitFor()
      await page.goto(`${origin}/runs`)
      await page.getByText('No runs yet').waitFor()
      expect.soft(await axe(page)).toEqual([])
      await page.getByRole('link', { name: 'Start from a template' }).click()
      await page.getByRole('heading', { name: 'Start from a template' }).waitFor()
    }),
  LIMIT,
)

test(
  'UX-8: a phone gets the runs of a pipeline to read, and the editor only when it asks for it',
  () =>
    on.session({ width: 390, height: 844, hasTouch: true }, async ({ page }) => {
      const { id } = await ask<{ id: string }>(page, 'pipelines.create', { template: 'first-look' })
      await page.goto(`${new URL(page.url()).origin}/pipelines/${id}`)
      await page.getByText('The editor needs a wider window').waitFor()
      await page.getByText('No runs yet').waitFor()
      await shot(page, 'phone-pipeline')
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390)
      expect.soft(await axe(page)).toEqual([])
      await page.getByRole('button', { name: 'Open it all the same' }).click()
      await page.locator('[data-canvas]').waitFor()
    }),
  LIMIT,
)

for (const options of [
  { theme: 'light' },
  { theme: 'dark' },
  { theme: 'light', forcedColors: true },
  { theme: 'light', width: 1024, height: 768 },
] as const)
  test(
    `UX-127: no violation in any state of the editor, ${JSON.stringify(options)}`,
    () =>
      on.session({ ...options, reducedMotion: true }, async ({ page }) => {
        const editor = await template(page)
        const name = Object.values(options).join('-')
        const look = async (state: string) => {
          await shot(page, `editor-${name}-${state}`)
          expect.soft(await axe(page), state).toEqual([])
        }
        await look('idle')
        for (const title of ['Freeze layers', 'Load model', 'Contract clauses', 'Train']) {
          await editor.select(title)
          await look(title.toLowerCase().replace(' ', '-'))
        }
        for (const tab of ['Data', 'Run', 'Notes']) {
          await page.getByRole('tab', { name: tab, exact: true }).click()
          await look(`tab-${tab.toLowerCase()}`)
        }
        const card = page.locator('[data-node="train"]')
        for (const [key, state] of [
          ['/', 'quick-add'],
          ['c', 'connect'],
          ['Control+k', 'commands'],
          ['?', 'keys'],
        ] as const) {
          await card.focus()
          await page.keyboard.press(key)
          await page.getByRole('dialog').waitFor()
          await look(state)
          await page.keyboard.press('Escape')
          await page.getByRole('dialog').waitFor({ state: 'detached' })
        }
        await page
          .getByRole('banner')
          .getByRole('button', { name: /^Check/ })
          .click()
        await look('check')
      }),
    2 * LIMIT,
  )
