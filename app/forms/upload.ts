/** Sends one file as it is; the server streams it into the artifact store and names it by its content. */
import * as z from 'zod'

const Sent = z.object({ file: z.string(), name: z.string(), sizeBytes: z.number() })
const Refused = z.object({ message: z.string() })

/** @throws Error with a sentence for people when the server refuses the file or cannot be reached. */
export async function uploadFile(file: File): Promise<z.infer<typeof Sent>> {
  let response: Response
  try {
    response = await fetch(`/api/upload?name=${encodeURIComponent(file.name)}`, {
      method: 'POST',
      body: file,
      headers: { 'content-type': 'application/octet-stream' },
    })
  } catch (cause) {
    throw new Error('The server did not answer. Is Thaw still running?', { cause })
  }
  const body: unknown = await response.json().catch(() => null)
  if (!response.ok) {
    const refused = Refused.safeParse(body)
    throw new Error(refused.success ? refused.data.message : `The file was refused (${response.status}).`)
  }
  return Sent.parse(body)
}
