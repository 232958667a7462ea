/** What every browser test file needs: the product on an empty home of its own, and a browser. */
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll } from 'vitest'
import { inSession, launch, type Session, type SessionOptions } from './browser'
import { type Product, startProduct } from './product'
import { tempFolder } from './temp'

export interface OnProduct {
  /** The running product. Only inside tests. */
  product(): Product
  /** A fresh browser profile, logged in, on the start page. */
  session<T>(options: SessionOptions, work: (session: Session) => Promise<T>): Promise<T>
}

/** Starts before the first test of the file, stops after the last, and fails when a process is left over. */
export function onProduct(env: Record<string, string> = {}): OnProduct {
  let home: Awaited<ReturnType<typeof tempFolder>> | undefined
  let product: Product | undefined
  let browser: Browser | undefined
  beforeAll(async () => {
    home = await tempFolder()
    // The first start of a checkout builds the pages.
    product = await startProduct({ home: home.path, env })
    browser = await launch()
  }, 580_000)
  afterAll(async () => {
    await browser?.close()
    await product?.stop()
    await home?.[Symbol.asyncDispose]()
  }, 90_000)
  const running = (): Product => {
    if (!product) throw new Error('The product runs only inside tests.')
    return product
  }
  return {
    product: running,
    session(options, work) {
      if (!browser) throw new Error('The browser runs only inside tests.')
      return inSession(browser, running().url, options, work)
    },
  }
}
