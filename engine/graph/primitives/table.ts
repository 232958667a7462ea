/** The table of operations. A new one is an entry in one of these files and a kernel in backends/tfjs-kernels.ts. */
export * from './elementwise'
export * from './layout'
export * from './lookup'
export * from './matrix'
export * from './nn'
export * from './reduce'
export * from './state'
