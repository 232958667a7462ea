/** A person builds First look from a blank canvas, once with the mouse and once with the keyboard alone, and runs it. */
import type { Locator } from 'playwright-core'
import { expect, test } from 'vitest'
import { axe, shot } from '../kit/browser'
import { onProduct } from '../kit/e2e'
import { EditorPage } from '../kit/editor-page'
import { EXPORTED_FILES, readExported } from '../kit/exported'
import { until } from '../kit/wait'

const on = onProduct()

test(
  'UX-24, UX-25, UX-26: First look is built from a blank canvas by dragging, and its run gives a model that is downloaded',
  () =>
    on.session({}, async ({ page }) => {
      await page.getByRole('button', { name: /^Blank pipeline/ }).click()
      const editor = new EditorPage(page)
      await page.getByText('Add first node').waitFor()
      // Seven nodes of 224 px do not fit beside each other at 100 %.
      await editor.zoomOut(4)
      const model = await editor.dragFromPalette('Load model', { x: 60, y: 220 })
      const freeze = await editor.dragFromPalette('Freeze layers', { x: 200, y: 220 })
      const data = await editor.dragFromPalette('Load data', { x: 60, y: 360 })
      const split = await editor.dragFromPalette('Split data', { x: 200, y: 360 })
      const train = await editor.dragFromPalette('Train', { x: 350, y: 280 })
      const validate = await editor.dragFromPalette('Validate', { x: 500, y: 360 })
      const output = await editor.dragFromPalette('Export', { x: 650, y: 280 })
      await editor.fit()

      await editor.wire({ node: model, port: 'model' }, { node: freeze, port: 'model' })
      await editor.wire({ node: freeze, port: 'model' }, { node: train, port: 'model' })
      await editor.wire({ node: data, port: 'data' }, { node: split, port: 'data' })
      await editor.wire({ node: split, port: 'train' }, { node: train, port: 'data' })
      await editor.wire({ node: split, port: 'validation' }, { node: train, port: 'validation' })
      await editor.wire({ node: train, port: 'model' }, { node: validate, port: 'model' })
      await editor.wire({ node: split, port: 'test' }, { node: validate, port: 'data' })
      await editor.wire({ node: train, port: 'model' }, { node: output, port: 'model' })
      await editor.wire({ node: validate, port: 'metrics' }, { node: output, port: 'metrics' })
      await editor.waitForWires(9)

      // UX-26: a wire that cannot be is refused with the reason, and nothing is drawn.
      await editor.wire({ node: data, port: 'data' }, { node: freeze, port: 'model' })
      await page
        .getByText(/needs a model/)
        .first()
        .waitFor()
      await editor.waitForWires(9)
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
      expect.soft(await axe(page)).toEqual([])

      await until('the work to be saved', async () => /^Saved/.test((await page.locator('.saved').textContent()) ?? ''))
      await editor.button('Run').click()
      await editor.waitForState('Export', /^Done/, 150_000)
      await page.getByRole('tab', { name: 'Outputs' }).click()
      await page.getByRole('heading', { name: 'Scores' }).waitFor()
      await shot(page, 'built-and-run')
      const [download] = await Promise.all([
        page.waitForEvent('download'),
        editor.runPanel.getByRole('link', { name: 'Download', exact: true }).click(),
      ])
      const { names, config, tensors } = await readExported(await download.path())
      expect(names).toEqual(expect.arrayContaining([...EXPORTED_FILES]))
      expect(config).toMatchObject({ model_type: 'llama', num_hidden_layers: 6 })
      expect(tensors['model.embed_tokens.weight']?.shape).toEqual([config.vocab_size, config.hidden_size])
    }),
  300_000,
)

test(
  'UX-128, UX-103, UX-105, UX-102: a pipeline is built and run by keyboard alone',
  () =>
    on.session({ reducedMotion: true }, async ({ page }) => {
      const editor = new EditorPage(page)
      const { keyboard } = page
      /** Presses Tab as a person does, until the focus is where it should be. */
      const tabTo = async (what: Locator): Promise<void> => {
        for (let i = 0; i < 40; i++) {
          if (await what.evaluate((element) => element === document.activeElement)) return
          await keyboard.press('Tab')
        }
        throw new Error(`${what} was not reached by Tab.`)
      }
      const focused = (title: string) =>
        until(`${title} to have the focus`, () => editor.card(title).evaluate((card) => card === document.activeElement), {
          timeoutMs: 5_000,
        })

      await page.getByRole('heading', { name: 'Start from a template' }).waitFor()
      await keyboard.press('n')
      await page.getByText('Add first node').waitFor()
      await keyboard.press('Tab')
      await keyboard.press('F6')
      await keyboard.press('F6')
      await keyboard.press('/')
      await page.getByRole('dialog', { name: 'Add a node' }).waitFor()
      await keyboard.type('load model')
      await keyboard.press('Enter')
      await focused('Load model')
      await keyboard.press('Enter')
      await tabTo(editor.settings.getByRole('radio', { name: /SmolLM2/ }))
      await keyboard.press('ArrowDown')
      await keyboard.press('Escape')
      await focused('Load model')

      const add = async (word: string, title: string): Promise<void> => {
        await keyboard.press('c')
        await page.getByRole('dialog', { name: /^Connect/ }).waitFor()
        await keyboard.type(word)
        await keyboard.press('Enter')
        await focused(title)
      }
      await add('freeze', 'Freeze layers')
      await add('train', 'Train')
      await add('load data', 'Load data')
      await keyboard.press('Enter')
      await tabTo(editor.settings.getByRole('combobox', { name: 'Sample' }))
      await keyboard.press('Enter')
      await page.getByRole('option', { name: /log\.jsonl/ }).waitFor()
      await keyboard.type('log')
      await keyboard.press('Enter')
      await keyboard.press('Escape')
      await focused('Load data')
      // UX-111: along the wire to Train.
      await keyboard.press('ArrowRight')
      await focused('Train')
      await keyboard.press('Enter')
      await tabTo(editor.field('Epochs'))
      await keyboard.press('Control+a')
      await keyboard.type('0.5')
      await keyboard.press('Escape')
      await focused('Train')
      await add('export', 'Export')
      await editor.waitForWires(4)
      await until('the work to be saved', async () => /^Saved/.test((await page.locator('.saved').textContent()) ?? ''))
      await keyboard.press('Control+Enter')
      await editor.waitForState('Export', /^Done/, 150_000)
      await shot(page, 'built-by-keyboard')
    }),
  300_000,
)
