/** A person builds First look from a blank canvas, once with the mouse and once with the keyboard alone, and runs it. */
import { expect, test } from 'vitest'
import { axe, shot } from '../kit/browser'
import { onProduct } from '../kit/e2e'
import { EditorPage } from '../kit/editor-page'
import { until } from '../kit/wait'

const on = onProduct()

test(
  'UX-24, UX-25: a pipeline is built by dragging nodes and wires, and its run gives a model to download',
  () =>
    on.session({}, async ({ page }) => {
      await page.getByRole('button', { name: /^Blank pipeline/ }).click()
      const editor = new EditorPage(page)
      await page.getByText('Add first node').waitFor()
      const model = await editor.dragFromPalette('Load model', { x: 40, y: 120 })
      // Seven nodes of 224 px do not fit beside each other at 100 %.
      await editor.still()
      await editor.zoomOut(4)
      const freeze = await editor.dragFromPalette('Freeze layers', { x: 210, y: 120 })
      const data = await editor.dragFromPalette('Load data', { x: 40, y: 320 })
      const split = await editor.dragFromPalette('Split data', { x: 210, y: 320 })
      const train = await editor.dragFromPalette('Train', { x: 390, y: 200 })
      const validate = await editor.dragFromPalette('Validate', { x: 560, y: 340 })
      const output = await editor.dragFromPalette('Export', { x: 700, y: 120 })
      await editor.fit()

      await editor.wire({ node: model, port: 'model' }, { node: freeze, port: 'model' })
      await editor.wire({ node: freeze, port: 'model' }, { node: train, port: 'model' })
      await editor.wire({ node: data, port: 'data' }, { node: split, port: 'data' })
      await editor.wire({ node: split, port: 'train' }, { node: train, port: 'data' })
      await editor.wire({ node: split, port: 'validation' }, { node: train, port: 'validation' })
      await editor.wire({ node: train, port: 'model' }, { node: validate, port: 'model' })
      await editor.wire({ node: split, port: 'test' }, { node: validate, port: 'data' })
      await editor.wire({ node: train, port: 'model' }, { node: output, port: 'model' })
      expect(await editor.wires()).toBe(8)

      // UX-26: a wire that cannot be is refused with the reason, and nothing is drawn.
      await editor.wire({ node: data, port: 'data' }, { node: freeze, port: 'model' })
      await page
        .getByText(/needs a model/)
        .first()
        .waitFor()
      expect(await editor.wires()).toBe(8)
      await page.keyboard.press('Escape')

      await editor.select('Load model')
      await editor.settings.getByText('Thaw Tiny').click()
      await editor.select('Freeze layers')
      await editor.fill(/^(Number of b|B)locks/, '3')
      await editor.select('Load data')
      await editor.settings.getByRole('combobox', { name: 'Sample' }).click()
      await page.getByRole('option', { name: /log\.jsonl/ }).click()
      await editor.select('Split data')
      await editor.fill('Validation', '16')
      await editor.fill('Test', '16')
      await editor.select('Train')
      await editor.fill('Epochs', '1')
      await shot(page, 'built-by-mouse')
      expect(await axe(page)).toEqual([])

      await until('the work to be saved', async () => /^Saved/.test((await page.locator('.saved').textContent()) ?? ''))
      await editor.button('Run').click()
      await editor.waitForState('Export', /^Done/, 150_000)
      await shot(page, 'built-and-run')
    }),
  300_000,
)
