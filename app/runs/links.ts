/** Where an output of a run is downloaded: reached through the run, never by digest (SEC-16). */
export const downloadHref = (run: string, node: string, port: string): string =>
  `/api/download/${encodeURIComponent(run)}/${encodeURIComponent(node)}/${encodeURIComponent(port)}`

/** The comparison of runs; the first is the baseline. */
export const compareHref = (runs: readonly string[]): string => `/runs/compare?ids=${runs.join(',')}`
