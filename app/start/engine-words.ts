/**
 * What the workers' device records mean to a person. They are stored as the worker wrote them, maybe by an older Thaw, so everything in them
 * is looked at before it is believed. Pure.
 */
export type EngineWords = {
  /** One line for the foot of the page. */
  short: string
  name: string
  device: string | null
  /** Why this engine and not a faster one; null when it is the fast one. */
  reason: string | null
  /** What to do to get the faster one. */
  faster: string | null
  slow: boolean
}

const NAMES: Record<string, string> = {
  tensorflow: 'TensorFlow',
  wasm: 'TensorFlow.js (WebAssembly)',
  cpu: 'TensorFlow.js (plain JavaScript)',
}
const FASTER = 'For the fast engine install Python 3 with pip and g++, then run npm run engine and start Thaw again.'

const text = (record: Record<string, unknown>, name: string): string | null =>
  typeof record[name] === 'string' && record[name] !== '' ? (record[name] as string) : null

function recordsIn(devices: unknown): Record<string, unknown>[] {
  if (Array.isArray(devices)) return devices.flatMap(recordsIn)
  if (devices === null || typeof devices !== 'object') return []
  const record = devices as Record<string, unknown>
  return record.backend !== null && typeof record.backend === 'object'
    ? [{ ...record, ...(record.backend as Record<string, unknown>) }]
    : [record]
}

export function engineOf(devices: readonly unknown[]): EngineWords {
  const records = devices.flatMap(recordsIn)
  const backendOf = (record: Record<string, unknown>) => text(record, 'name') ?? text(record, 'backend')
  // The best engine that any worker has is the one that runs go to.
  const best = ['tensorflow', 'wasm', 'cpu'].map((name) => records.find((record) => backendOf(record) === name)).find(Boolean) ?? records[0]
  // A worker opens its engine with the first node that needs one, and only then knows which it is.
  if (!best)
    return { short: 'The engine opens with the first run', name: 'not opened yet', device: null, reason: null, faster: null, slow: false }
  const backend = backendOf(best) ?? 'unknown'
  const name = NAMES[backend] ?? backend
  const device = text(best, 'device')
  const slow = backend === 'wasm' || backend === 'cpu'
  return {
    short: [name, device].filter(Boolean).join(' on '),
    name,
    device,
    reason: text(best, 'reason'),
    faster: slow ? FASTER : null,
    slow,
  }
}
