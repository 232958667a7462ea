import { setTimeout as sleep } from 'node:timers/promises'

/** Asks until the answer is truthy, and returns it; after `timeoutMs` throws with what was awaited and the last answer. */
export async function until<T>(
  what: string,
  ask: () => Promise<T> | T,
  { timeoutMs = 30_000, everyMs = 100 } = {},
): Promise<NonNullable<T>> {
  const end = Date.now() + timeoutMs
  for (;;) {
    const answer = await ask()
    if (answer) return answer
    if (Date.now() > end) throw new Error(`Waited ${timeoutMs / 1000} s for ${what}; last answer: ${JSON.stringify(answer)}`)
    await sleep(everyMs)
  }
}
