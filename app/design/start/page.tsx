import { notFound } from 'next/navigation'
import { shown } from '../shown'
import { StartSamples } from './start-samples'

export const metadata = { title: 'Start page' }

export default function Page() {
  if (!shown()) notFound()
  return <StartSamples />
}
