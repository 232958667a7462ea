/**
 * What a person does on the editor page, by mouse and keys. Everything is found as a person finds it, by role and name; only ports, which
 * have no name of their own for assistive technology (their twins are keys), are found by `data-port`.
 */
import type { Locator, Page } from 'playwright-core'
import { until } from './wait'

export type Point = { x: number; y: number }

export class EditorPage {
  readonly page: Page
  constructor(page: Page) {
    this.page = page
  }

  /** The canvas region. */
  get canvas(): Locator {
    return this.page.locator('[data-canvas]')
  }
  /** The run panel at the bottom. */
  get runPanel(): Locator {
    return this.page.getByRole('region', { name: 'Run', exact: true })
  }
  /** The settings panel at the right. */
  get settings(): Locator {
    return this.page.getByRole('complementary', { name: 'Settings' })
  }

  /** A node's card by its title on the canvas. */
  card(title: string): Locator {
    return this.page.getByRole('group', { name: new RegExp(`^${literally(title)}, `) })
  }

  async idOf(title: string): Promise<string> {
    const id = await this.card(title).getAttribute('data-node')
    if (!id) throw new Error(`The card ${title} has no id.`)
    return id
  }

  /** What the card says about its state, for example "Done 12 s". */
  async stateOf(title: string): Promise<string> {
    return ((await this.card(title).getAttribute('aria-label')) ?? '').slice(title.length + 2)
  }

  async waitForState(title: string, state: RegExp, timeoutMs = 120_000): Promise<string> {
    return until(
      `${title} to be ${state}`,
      async () => {
        const now = await this.stateOf(title)
        if (/^Failed/.test(now) && !state.test(now)) throw new Error(`${title} failed: ${await this.card(title).textContent()}`)
        return state.test(now) ? now : null
      },
      { timeoutMs, everyMs: 150 },
    )
  }

  /** Selects a node by a click on its title, so that the inspector shows it. */
  async select(title: string): Promise<void> {
    await this.card(title).getByText(title, { exact: true }).first().click()
  }

  /** Drags a node type from the palette to a place inside the canvas, in pixels from its corner. Returns the new node's id. */
  async dragFromPalette(title: string, at: Point): Promise<string> {
    // By the title alone: "Train" is also how "Train on preferences" begins.
    const item = this.page
      .getByRole('navigation', { name: 'Nodes' })
      .getByRole('button')
      .filter({ has: this.page.getByText(title, { exact: true }) })
    const before = await this.ids()
    await item.dragTo(this.canvas, { targetPosition: at })
    return until(`a new node ${title}`, async () => (await this.ids()).find((id) => !before.includes(id)), { timeoutMs: 10_000 })
  }

  /** Ids of the nodes on the canvas. */
  ids(): Promise<string[]> {
    return this.page.locator('[data-node]').evaluateAll((cards) => cards.map((card) => card.getAttribute('data-node') ?? ''))
  }

  wires(): Promise<number> {
    return this.page.locator('.react-flow__edge').count()
  }

  /** Waits until exactly so many wires are drawn, which happens a frame after their nodes. */
  async waitForWires(number: number): Promise<void> {
    await until(`${number} wires to be drawn`, async () => (await this.wires()) === number)
  }

  /** Waits until the view has stopped gliding, as an eye would before it aims. */
  async still(): Promise<void> {
    const transform = (): Promise<string> =>
      this.page.locator('.react-flow__viewport').evaluate((view) => (view as HTMLElement).style.transform)
    let last = await transform()
    await until('the view to rest', async () => {
      await this.page.waitForTimeout(80)
      const now = await transform()
      const same = now === last
      last = now
      return same
    })
  }

  async zoomOut(times: number): Promise<void> {
    for (let i = 0; i < times; i++) {
      await this.button('Zoom out').click()
      await this.still()
    }
  }

  async fit(): Promise<void> {
    await this.button('Fit everything').click()
    await this.still()
  }

  port(side: 'in' | 'out', node: string, port: string): Locator {
    return this.page.locator(`[data-port="${node}.${port}"].${side}`)
  }

  /** Draws a wire with the mouse, from an output to an input. */
  async wire(from: { node: string; port: string }, to: { node: string; port: string }): Promise<void> {
    const [a, b] = [await centre(this.port('out', from.node, from.port)), await centre(this.port('in', to.node, to.port))]
    await this.page.mouse.move(a.x, a.y)
    await this.page.mouse.down()
    // Several steps: a canvas that only listens to moves would miss a jump.
    await this.page.mouse.move((a.x + b.x) / 2, (a.y + b.y) / 2, { steps: 6 })
    await this.page.mouse.move(b.x, b.y, { steps: 6 })
    await this.page.mouse.up()
  }

  /** A field of the inspector, by its label. */
  field(label: string | RegExp): Locator {
    return this.settings.getByLabel(label, { exact: true })
  }

  async fill(label: string | RegExp, value: string): Promise<void> {
    const field = this.field(label)
    await field.fill(value)
    await field.press('Tab')
  }

  button(name: string): Locator {
    return this.page.getByRole('button', { name, exact: true })
  }
}

const literally = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')

async function centre(locator: Locator): Promise<Point> {
  await locator.waitFor()
  const box = await locator.boundingBox()
  if (!box) throw new Error(`${locator} is not on the screen.`)
  return { x: box.x + box.width / 2, y: box.y + box.height / 2 }
}
