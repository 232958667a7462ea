/** Bundled and started by tests: puts the same pieces again and again until it is killed, saying each digest that was acknowledged. */
import { ArtifactStore } from '../../server/storage/artifact-store'

const store = new ArtifactStore(process.argv[2] as string)
const seed = Number(process.argv[3])
for (let i = 0; ; i++) {
  // Twenty different contents, so that racing writers meet on the same digest.
  const piece = Buffer.alloc(64 * 1024, (i * 7 + seed) % 20)
  async function* chunks() {
    for (let at = 0; at < 16; at++) yield piece
  }
  const { digest } = await store.putStream(chunks())
  process.stdout.write(`${digest}\n`)
}
