/**
 * A real Chromium on the running product. Every page is guarded: console errors and warnings, uncaught errors, failed requests and
 * requests to any other origin are collected, and ending the session with one of them fails the test.
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { AxeBuilder } from '@axe-core/playwright'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import { findChromium } from '../../scripts/chromium.mjs'
import { ROOT } from './product'

export type Theme = 'light' | 'dark'
export type SessionOptions = {
  theme?: Theme
  width?: number
  height?: number
  reducedMotion?: boolean
  forcedColors?: boolean
  hasTouch?: boolean
}

export interface Session {
  readonly page: Page
  readonly context: BrowserContext
  /** What went wrong on any page of this session so far. */
  readonly problems: string[]
  /** Forgives what matches, from now on and before: for tests that break things on purpose. */
  expectProblems(pattern: RegExp): void
}

export async function launch(): Promise<Browser> {
  const executablePath = findChromium()
  if (!executablePath) throw new Error('No Chromium found. Set CHROMIUM_PATH or install the package chromium.')
  // Without a sandbox: as root, in containers, Chromium refuses to start with one. The pages shown are our own.
  return chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--force-color-profile=srgb'],
  })
}

/**
 * Runs `work` in a fresh profile, logged in through the printed URL, on the start page. Fails when `work` fails, with what the page had
 * complained about until then and a screenshot, and when it ends well but the page was not clean.
 */
export async function inSession<T>(
  browser: Browser,
  url: string,
  options: SessionOptions,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const { theme = 'light', width = 1440, height = 900, reducedMotion = false, forcedColors = false, hasTouch = false } = options
  const { origin } = new URL(url)
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: theme,
    reducedMotion: reducedMotion ? 'reduce' : 'no-preference',
    forcedColors: forcedColors ? 'active' : 'none',
    hasTouch,
    acceptDownloads: true,
    locale: 'en-GB',
    timezoneId: 'UTC',
  })
  context.setDefaultTimeout(60_000)
  const problems: string[] = []
  const forgiven: RegExp[] = []
  const report = (text: string): void => {
    if (!forgiven.some((pattern) => pattern.test(text))) problems.push(text)
  }
  context.on('page', (page) => guard(page, origin, report))
  try {
    const page = await context.newPage()
    await page.goto(url, { waitUntil: 'load' })
    const result = await work({
      page,
      context,
      problems,
      expectProblems(pattern) {
        forgiven.push(pattern)
        problems.splice(0, problems.length, ...problems.filter((text) => !pattern.test(text)))
      },
    }).catch(async (error: Error) => {
      const last = context.pages().at(-1) ?? page
      const picture = await photograph(last, `failed-${Date.now()}`).catch(() => 'no picture')
      throw new Error(`${error.message}\nPicture: ${picture}\nThe page said: ${[...new Set(problems)].join('\n') || 'nothing'}`, {
        cause: error,
      })
    })
    if (problems.length > 0) throw new Error(`The page was not clean:\n${[...new Set(problems)].join('\n')}`)
    return result
  } finally {
    await context.close()
  }
}

function guard(page: Page, origin: string, report: (text: string) => void): void {
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning')
      report(`console ${message.type()}: ${message.text()} (${message.location().url})`)
  })
  page.on('pageerror', (error) => report(`uncaught: ${error.stack ?? error.message}`))
  page.on('request', (request) => {
    const url = new URL(request.url())
    if (url.origin !== origin && !['data:', 'blob:', 'about:'].includes(url.protocol))
      report(`request to another origin: ${request.method()} ${request.url()}`)
  })
  page.on('requestfailed', (request) => {
    // Leaving a page ends its event stream and its open requests; that is no fault.
    const reason = request.failure()?.errorText ?? ''
    if (reason !== 'net::ERR_ABORTED') report(`request failed: ${request.method()} ${request.url()} ${reason}`)
  })
  page.on('response', (response) => {
    if (response.status() >= 400) report(`HTTP ${response.status()}: ${response.request().method()} ${response.url()}`)
  })
}

/** UX-127: WCAG 2.2 A and AA and best practice. Returns one readable line per violation. */
export async function axe(page: Page): Promise<string[]> {
  const result = await new AxeBuilder({ page })
    // Our pages have no frames; the other mode opens a page of its own for each analysis.
    .setLegacyMode(true)
    .withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'])
    .analyze()
  return result.violations.map(
    (violation) => `${violation.id}: ${violation.help}: ${violation.nodes.map((node) => node.target.join(' ')).join(' | ')}`,
  )
}

/** `axe` by day and by night (UX-127), for a page that follows the system's theme. Leaves it as it was found. */
export async function axeInBoth(page: Page): Promise<string[]> {
  const found: string[] = []
  const before = await page.evaluate(() => (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'))
  for (const colorScheme of before === 'dark' ? (['light', 'dark'] as const) : (['dark', 'light'] as const)) {
    await page.emulateMedia({ colorScheme })
    // Surfaces change their tone in 90 ms (D-42).
    await page.waitForTimeout(200)
    found.push(...(await axe(page)).map((line) => `${colorScheme}: ${line}`))
  }
  return found
}

/** A picture for people to look at: tests/e2e/shots/<name>.png (git-ignored), only with THAW_SHOTS set, since each costs half a second. */
export async function shot(page: Page, name: string): Promise<void> {
  if (process.env.THAW_SHOTS) await photograph(page, name)
}

/** @returns the path of the picture */
async function photograph(page: Page, name: string): Promise<string> {
  const folder = join(ROOT, 'tests/e2e/shots')
  await mkdir(folder, { recursive: true })
  const path = join(folder, `${name}.png`)
  await page.screenshot({ path, animations: 'disabled' })
  return path
}
