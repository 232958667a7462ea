'use client'
import dynamic from 'next/dynamic'

/** The editor lives in the browser alone; nothing is shown until its code is there (D-30: no skeletons that pretend). */
const EditorPage = dynamic(() => import('../../canvas/editor-page'), {
  ssr: false,
  loading: () => <div className="opening" aria-busy="true" />,
})

export function Opening({ id, fresh }: { id: string; fresh: boolean }) {
  return <EditorPage id={id} fresh={fresh} />
}
