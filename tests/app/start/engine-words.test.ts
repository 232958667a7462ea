import { describe, expect, it } from 'vitest'
import { engineOf } from '../../../app/start/engine-words'

describe('E-16: which engine computes, why, and how to get the faster one', () => {
  it('names TensorFlow and its device', () => {
    expect(engineOf([[{ name: 'tensorflow', device: '2 CPU cores', reason: 'found' }]])).toMatchObject({
      short: 'TensorFlow on 2 CPU cores',
      slow: false,
      faster: null,
    })
  })
  it('a fallback says why and what to do', () => {
    const words = engineOf([{ backend: { name: 'wasm', device: 'CPU', reason: 'Python was not found' } }])
    expect(words).toMatchObject({ slow: true, reason: 'Python was not found' })
    expect(words.faster).toContain('npm run engine')
  })
  it('of several workers the fast engine counts', () =>
    expect(engineOf([[{ name: 'cpu' }], [{ name: 'tensorflow' }]]).name).toBe('TensorFlow'))
  it.each([[[]], [[[]]], [[null]], [['x']], [[3]]])('believes nothing it does not know: %j', (devices) =>
    expect(engineOf(devices).slow).toBe(false),
  )
})
