/** @type {import('next').NextConfig} */
export default {
  // Native or stateful on import: left to Node instead of bundled (R-21, TC-15).
  serverExternalPackages: ['pg', 'pg-boss'],
  // Types are checked by npm test, once, not at every first start on somebody's machine.
  typescript: { tsconfigPath: 'tsconfig.app.json', ignoreBuildErrors: true },
  poweredByHeader: false,
  // Events must leave at once, and everything else travels over loopback.
  compress: false,
  devIndicators: false,
  reactStrictMode: true,
  allowedDevOrigins: [],
}
