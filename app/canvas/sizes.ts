import type { ReactFlowInstance } from '@xyflow/react'
import type { Size } from './groups'

/** Card sizes as drawn; a card that was never in view has the size of most. */
export const sizeIn =
  (flow: Pick<ReactFlowInstance, 'getNode'>) =>
  (id: string): Size => {
    const { width = 224, height = 176 } = flow.getNode(id)?.measured ?? {}
    return { width, height }
  }
