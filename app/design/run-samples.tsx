'use client'
export function RunSamples() {
  return null
}
