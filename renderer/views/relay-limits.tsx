import { BatteryMedium, Calendar, Clock, Gauge, Router, Wifi } from 'lucide-react'
import { type FormEvent, useEffect, useRef, useState } from 'react'
import type { Reply } from '../../electron/contract/calls.ts'
import type { RelayStatusView } from '../../electron/contract/relay-view.ts'
import { useNow } from '../hooks/use-now.ts'
import { rateText } from '../model/amounts.ts'
import { rateChoices } from '../model/relay.ts'
import { hoursChoices, monthText, noPauseReason, OTHER_HOURS, quotaChoices, usedShare } from '../model/relay-limits.ts'
import { Select } from '../ui/select.tsx'
import { Setting, SwitchSetting } from '../ui/setting.tsx'
import { useActions, useUi } from '../use-app.ts'
import { words } from '../words.ts'

interface LimitsProps {
  readonly view: RelayStatusView
  readonly change: (asked: Promise<Reply<void>>) => Promise<boolean>
}

/** How much this computer gives, and when. */
export function RelayLimits({ view, change }: LimitsProps) {
  const { setRelayLimit, setRelayManners } = useActions()
  const nowMs = useNow()
  const [typesHours, setTypesHours] = useState(false)
  const text = words.relay
  const { manners, limitBytesPerSecond } = view
  const share = usedShare(manners)
  const tested = useUi((ui) => ui.relayTest.view)
  const upload = tested?.steps.find(({ name }) => name === 'capacity')?.bytesPerSecond
  function chooseHours(hours: string): void {
    setTypesHours(hours === OTHER_HOURS)
    if (hours !== OTHER_HOURS) void change(setRelayManners({ relayHours: hours }))
  }
  return (
    <>
      <h2 className="section">{text.limits}</h2>
      <div className="card">
        <Setting
          icon={Gauge}
          name={text.rate}
          text={upload === undefined ? text.rateText : text.rateOf(rateText(upload))}
        >
          <Select
            label={text.rate}
            value={String(limitBytesPerSecond)}
            options={rateChoices(limitBytesPerSecond).map((rate) => [
              String(rate),
              rate === 0 ? text.noLimit : rateText(rate),
            ])}
            onChoose={(rate) => void change(setRelayLimit(Number(rate)))}
          />
        </Setting>
        <Setting icon={Calendar} name={text.month} meter={share} text={monthText(manners, nowMs)}>
          <Select
            label={text.month}
            value={String(manners.monthlyBytes)}
            options={quotaChoices(manners.monthlyBytes)}
            onChoose={(bytes) => void change(setRelayManners({ relayMonthlyBytes: Number(bytes) }))}
          />
        </Setting>
        <Setting icon={Clock} name={text.hours}>
          <Select
            label={text.hours}
            value={typesHours ? OTHER_HOURS : manners.hours}
            options={hoursChoices(manners.hours)}
            onChoose={chooseHours}
          />
        </Setting>
        {typesHours && (
          <OtherHours
            hours={manners.hours}
            onSet={async (hours) => {
              if (await change(setRelayManners({ relayHours: hours }))) setTypesHours(false)
            }}
          />
        )}
        <SwitchSetting
          icon={BatteryMedium}
          name={text.battery}
          isOn={manners.pauseOnBattery}
          cannot={noPauseReason(view, 'battery')}
          onToggle={() => void change(setRelayManners({ relayPauseOnBattery: !manners.pauseOnBattery }))}
        />
        <SwitchSetting
          icon={Wifi}
          name={text.metered}
          isOn={manners.pauseOnMetered}
          cannot={noPauseReason(view, 'metered')}
          onToggle={() => void change(setRelayManners({ relayPauseOnMetered: !manners.pauseOnMetered }))}
        />
      </div>
    </>
  )
}

/** Whether the router is asked for ports: not only for the relay. */
export function RouterSetting({ view, change }: LimitsProps) {
  const { setRelayManners } = useActions()
  const text = words.relay
  return (
    <>
      <h2 className="section">{text.router}</h2>
      <div className="card">
        <SwitchSetting
          icon={Router}
          name={text.mapsPorts}
          text={text.mapsPortsText}
          isOn={view.mapsPorts}
          onToggle={() => void change(setRelayManners({ portMapping: !view.mapsPorts }))}
        />
      </div>
    </>
  )
}

interface OtherHoursProps {
  readonly hours: string
  readonly onSet: (hours: string) => Promise<void>
}

function OtherHours({ hours, onSet }: OtherHoursProps) {
  const [typed, setTyped] = useState(hours)
  const field = useRef<HTMLInputElement>(null)
  useEffect(() => field.current?.focus(), [])
  const text = words.relay
  function submit(event: FormEvent): void {
    event.preventDefault()
    void onSet(typed)
  }
  return (
    <form className="row setting typed" onSubmit={submit}>
      <label className="field grow">
        <span className="unseen">{text.hoursLabel}</span>
        <span className="input">
          <input ref={field} value={typed} maxLength={200} onChange={(event) => setTyped(event.target.value)} />
        </span>
        <small>{text.hoursForm}</small>
      </label>
      <button type="submit" className="button">
        {text.setHours}
      </button>
    </form>
  )
}
