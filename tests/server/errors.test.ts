import { expect, test } from 'vitest'
import { EngineError } from '../../engine/errors'
import { NodeError } from '../../nodes/_kit/node-error'
import { AppError, fromUnknown, redact, redactValue } from '../../server/errors'

test('A-6: an unknown throw becomes one of ours and keeps its cause', () => {
  const cause = new Error('boom')
  expect(fromUnknown(cause)).toMatchObject({ code: 'INTERNAL', failure: 'internal', message: 'boom', cause })
  expect(fromUnknown('text')).toMatchObject({ code: 'INTERNAL', message: 'text' })
  expect(fromUnknown(undefined)).toBeInstanceOf(AppError)
  expect(fromUnknown(Object.assign(new Error('full'), { code: 'ENOSPC' }))).toMatchObject({ code: 'NO_SPACE', failure: 'resource' })
  expect(fromUnknown(Object.assign(new Error('gone'), { code: '57P01' }))).toMatchObject({ code: 'DATABASE_AWAY', failure: 'transient' })
  expect(fromUnknown(new DOMException('stop', 'AbortError'))).toMatchObject({ code: 'ABORTED' })
  const own = new AppError('NOT_FOUND', { message: 'x' })
  expect(fromUnknown(own)).toBe(own)
})

test('A-6: errors of nodes and of the engine keep place, expectation and fix', () => {
  const node = new NodeError('bad_json', 'Line 3 is no JSON.', {
    param: 'file',
    where: 'line 3',
    expected: 'JSON',
    got: '{',
    fix: 'Correct the line.',
  })
  expect(fromUnknown(node).toStored()).toEqual({
    code: 'NODE_REFUSED',
    reason: 'bad_json',
    failure: 'user',
    message: 'Line 3 is no JSON.',
    param: 'file',
    where: 'line 3',
    expected: 'JSON',
    got: '{',
    fix: 'Correct the line.',
  })
  expect(fromUnknown(new EngineError('out_of_memory', 'No room.'))).toMatchObject({
    code: 'OUT_OF_MEMORY',
    failure: 'resource',
    reason: 'out_of_memory',
  })
  expect(fromUnknown(new EngineError('shape', 'Wrong shape.'))).toMatchObject({ code: 'INTERNAL' })
})

test('A-6: an error survives being stored', () => {
  const error = new AppError('BAD_DATA', { message: 'x', where: 'row 3', fix: 'y', details: 'log' })
  expect(AppError.fromStored(JSON.parse(JSON.stringify(error.toStored()))).toStored()).toEqual(error.toStored())
})

test('SEC-13, SEC-29: known secrets, token shapes and passwords in URLs never leave through an error', () => {
  redactValue('s3cr3t-värdé')
  const text = [
    'value s3cr3t-värdé',
    `base64 ${Buffer.from('s3cr3t-värdé').toString('base64')}`,
    `url ${encodeURIComponent('s3cr3t-värdé')}`,
    'postgres://thaw:hunter2hunter2@127.0.0.1/x',
    'hf_abcdefghijklmnopqrst',
    'http://127.0.0.1:3000/api/login?token=AbCdEf123456',
    'Authorization: Bearer abcdefghijklmnop',
  ].join('\n')
  const clean = new AppError('NETWORK', { message: text, got: text }).toStored()
  for (const field of [clean.message, clean.got ?? '']) {
    expect(field).not.toMatch(/s3cr3t|v%C3%A4rd|czNjcjN0|hunter2|abcdefghijkl|AbCdEf/)
    expect(field).toContain('127.0.0.1')
  }
  expect(redact('nothing secret')).toBe('nothing secret')
})
