import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'

const css = readFileSync(join(import.meta.dirname, '../../../app/ui/surfaces.css'), 'utf8').replaceAll(/\/\*[\s\S]*?\*\//g, '')
const layer = (selector: string): number => {
  const rules = [...css.matchAll(/([^{}]+)\{([^{}]*)\}/g)].filter(([, names]) => names?.split(',').some((name) => name.trim() === selector))
  const found = rules.flatMap(([, , body]) => /z-index:\s*(\d+)/.exec(body ?? '')?.[1] ?? [])
  if (found.length !== 1) throw new Error(`${selector} has ${found.length} layers`)
  return Number(found[0])
}

it('a list that opens inside a dialog lies above the dialog and its scrim, so that it can be clicked', () => {
  expect(layer('.pop')).toBeGreaterThan(layer('.dlg'))
  expect(layer('.dlg')).toBeGreaterThan(layer('.scrim'))
})
