/** The part of EventSource that tRPC's client uses, on fetch: Node has none without a flag.  */
export class TestEventSource extends EventTarget {
  static readonly CONNECTING = 0
  static readonly OPEN = 1
  static readonly CLOSED = 2
  readonly CONNECTING = 0
  readonly OPEN = 1
  readonly CLOSED = 2
  readonly url: string
  readyState = 0
  withCredentials = false
  #lastEventId = ''
  readonly #abort = new AbortController()

  constructor(url: string | URL) {
    super()
    this.url = String(url)
    void this.#read()
  }

  /** Also where a test adds what a browser would send by itself. */
  protected headers(): Record<string, string> {
    return { accept: 'text/event-stream' }
  }

  close(): void {
    this.readyState = this.CLOSED
    this.#abort.abort()
  }

  /** Connects, and again 100 ms after every loss with the last id, as browsers do. */
  async #read(): Promise<void> {
    while (this.readyState !== this.CLOSED) {
      try {
        const headers = this.headers()
        if (this.#lastEventId !== '') headers['last-event-id'] = this.#lastEventId
        const response = await fetch(this.url, { headers, signal: this.#abort.signal })
        // A refusal is final.
        if (!response.ok || !response.body) return this.#fail(this.CLOSED)
        this.readyState = this.OPEN
        this.dispatchEvent(new Event('open'))
        let text = ''
        for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
          text += chunk
          const parts = text.split('\n\n')
          text = parts.pop() ?? ''
          for (const part of parts) this.#deliver(part)
        }
      } catch {
        // Cut; said below.
      }
      this.#fail(this.CONNECTING)
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }

  #fail(state: number): void {
    if (this.readyState === this.CLOSED) return
    this.readyState = state
    this.dispatchEvent(new Event('error'))
  }

  #deliver(part: string): void {
    let type = 'message'
    let lastEventId = ''
    const data: string[] = []
    for (const line of part.split('\n')) {
      const at = line.indexOf(':')
      const value = line.slice(at + 1).replace(/^ /, '')
      if (line.startsWith('event:')) type = value
      else if (line.startsWith('id:')) lastEventId = value
      else if (line.startsWith('data:')) data.push(value)
    }
    if (lastEventId !== '') this.#lastEventId = lastEventId
    if (data.length > 0) this.dispatchEvent(new MessageEvent(type, { data: data.join('\n'), lastEventId }))
  }
}
