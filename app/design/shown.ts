/** Whether the development pages exist: decided at build and start, apart from the product's settings in server/env.ts. */
// biome-ignore lint/style/noProcessEnv: see above
export const shown = () => process.env.NODE_ENV === 'development' || process.env.THAW_DESIGN === '1'
