/** What a failed call says to a person: the server sends its error as data; anything else is the connection. */
import type { RunError } from './runs/events'

export type Fault = Pick<RunError, 'code' | 'message'> & Partial<RunError>

export function faultOf(error: unknown): Fault {
  if (error !== null && typeof error === 'object') {
    const data = (error as { data?: unknown }).data
    if (data !== null && typeof data === 'object') {
      const sent = (data as { error?: unknown }).error
      if (sent !== null && typeof sent === 'object' && typeof (sent as Fault).message === 'string') return sent as Fault
    }
    const message = (error as { message?: unknown }).message
    // The browser's own words for "no answer" differ and help nobody.
    if (typeof message === 'string' && !/fetch|network|load failed/i.test(message)) return { code: 'INTERNAL', message }
  }
  return { code: 'NETWORK', message: 'Thaw does not answer.', fix: 'Look whether npm start still runs, then try again.' }
}
