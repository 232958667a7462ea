import { handleTrpc } from '../../../../server/main'

export const dynamic = 'force-dynamic'
export const GET = handleTrpc
export const POST = handleTrpc
