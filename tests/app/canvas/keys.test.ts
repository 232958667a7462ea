import { describe, expect, it } from 'vitest'
import { bindingFor, capsOf, KEYS, type KeyPress, shortcutOf } from '../../../app/canvas/keys'

const press = (key: string, held: Partial<KeyPress> = {}): KeyPress => ({
  key,
  code: '',
  altKey: false,
  ctrlKey: false,
  metaKey: false,
  shiftKey: false,
  ...held,
})
const there = { mac: false, inCanvas: true }

describe('UX-100: one key table', () => {
  it('no two commands share a key in the same place', () => {
    const seen = new Map<string, string>()
    for (const binding of KEYS)
      for (const key of binding.keys) {
        expect(seen.get(key), `${key} is both ${seen.get(key)} and ${binding.command}`).toBeUndefined()
        seen.set(key, binding.command)
      }
    expect(new Set(KEYS.map((b) => b.command)).size).toBe(KEYS.length)
  })

  it('UX-110, UX-112, UX-102, UX-106: the usual combinations on both kinds of keyboard', () => {
    expect(bindingFor(press('z', { ctrlKey: true }), there)?.command).toBe('undo')
    expect(bindingFor(press('Z', { ctrlKey: true, shiftKey: true }), there)?.command).toBe('redo')
    expect(bindingFor(press('z', { metaKey: true }), { ...there, mac: true })?.command).toBe('undo')
    expect(bindingFor(press('z', { metaKey: true }), there)).toBeUndefined()
    expect(bindingFor(press('Enter', { ctrlKey: true }), there)?.command).toBe('run-all')
    expect(bindingFor(press('Enter', { ctrlKey: true, shiftKey: true }), there)?.command).toBe('run-to-here')
    expect(bindingFor(press('.', { ctrlKey: true }), there)?.command).toBe('stop')
    expect(bindingFor(press('Enter'), there)?.command).toBe('open-settings')
  })

  it('WCAG 2.1.4: single keys act only in the canvas', () => {
    for (const key of ['c', '/', 'm', '1', 'Delete', 'ArrowLeft', '?'])
      expect(bindingFor(press(key, { shiftKey: key === '?' }), { mac: false, inCanvas: false })).toBeUndefined()
    expect(bindingFor(press('c'), there)?.command).toBe('connect')
    expect(bindingFor(press('F8'), { mac: false, inCanvas: false })?.command).toBe('next-problem')
  })

  it('signs go by what they type, wherever the keyboard has them', () => {
    expect(bindingFor(press('?', { shiftKey: true }), there)?.command).toBe('help')
    expect(bindingFor(press('/', { shiftKey: true }), there)?.command).toBe('add-node')
    expect(bindingFor(press('+', { shiftKey: true }), there)?.command).toBe('zoom-in')
  })

  it('UX-113: Alt and arrows move, with Shift they leap', () => {
    expect(bindingFor(press('ArrowRight', { altKey: true }), there)?.command).toBe('move-right')
    expect(bindingFor(press('ArrowRight', { altKey: true, shiftKey: true }), there)?.command).toBe('leap-right')
  })

  it('caps are written as the computer writes them', () => {
    expect(capsOf('Shift+Mod+Z', true)).toEqual(['⇧', '⌘', 'Z'])
    expect(shortcutOf('redo', false)).toBe('Shift+Ctrl+Z')
    expect(shortcutOf('check', false)).toBe('')
  })
})
