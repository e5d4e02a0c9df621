import { apart, Loading, Place } from '../parts.tsx'
import { useConsole } from '../store.ts'

export function AuditPlace() {
  const audit = useConsole((state) => state.lists.audit)
  return (
    <Place title="Audit">
      {audit === undefined ? (
        <Loading />
      ) : (
        <div className="card table">
          <table className="tight">
            <thead>
              <tr>
                <th>When</th>
                <th>Who</th>
                <th>What</th>
                <th>Of</th>
                <th>More</th>
              </tr>
            </thead>
            <tbody>
              {audit.toReversed().map(({ at, actor, actorName, action, subject, subjectName, detail }, index) => (
                <tr key={`${at} ${index}`}>
                  <td className="num" title={at}>
                    {apart(at)}
                  </td>
                  <td title={actor}>{actorName ?? actor}</td>
                  <td>{action}</td>
                  <td className="dim" title={subject}>
                    {subjectName ?? subject}
                  </td>
                  <td className="dim ell more" title={detail}>
                    {detail}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <p className="faint small pad">The last seven days, the newest first.</p>
    </Place>
  )
}
