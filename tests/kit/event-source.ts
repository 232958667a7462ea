/** The part of EventSource that tRPC's client uses, on fetch: Node has none without a flag. Reconnects are the client's own doing here. */
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
  readonly #abort = new AbortController()

  constructor(url: string | URL) {
    super()
    this.url = String(url)
    void this.#read()
  }

  close(): void {
    this.readyState = this.CLOSED
    this.#abort.abort()
  }

  async #read(): Promise<void> {
    try {
      const response = await fetch(this.url, { headers: { accept: 'text/event-stream' }, signal: this.#abort.signal })
      if (!response.ok || !response.body) throw new Error(`${response.status}`)
      this.readyState = this.OPEN
      this.dispatchEvent(new Event('open'))
      let text = ''
      for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
        text += chunk
        const parts = text.split('\n\n')
        text = parts.pop() ?? ''
        for (const part of parts) this.#deliver(part)
      }
      throw new Error('ended')
    } catch {
      if (this.readyState === this.CLOSED) return
      this.readyState = this.CLOSED
      this.dispatchEvent(new Event('error'))
    }
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
    if (data.length > 0) this.dispatchEvent(new MessageEvent(type, { data: data.join('\n'), lastEventId }))
  }
}
