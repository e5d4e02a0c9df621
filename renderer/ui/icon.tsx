import {
  Cpu,
  HardDrive,
  Laptop,
  type LucideIcon,
  Monitor,
  Printer,
  Server,
  Smartphone,
  Terminal,
  Tv,
} from 'lucide-react'
import type { DeviceKind } from '../model/machines.ts'

export interface IconProps {
  readonly of: LucideIcon
  readonly size?: 14 | 16 | 20 | 24
  readonly className?: string
}

/** Thinner when larger, so that all weigh the same beside text. */
const STROKE = { 14: 2, 16: 1.75, 20: 1.5, 24: 1.5 }

export function Icon({ of: Drawing, size = 16, className }: IconProps) {
  return <Drawing size={size} strokeWidth={STROKE[size]} aria-hidden className={className} />
}

const DEVICES: Readonly<Record<DeviceKind, LucideIcon>> = {
  desktop: Monitor,
  laptop: Laptop,
  phone: Smartphone,
  server: Server,
  nas: HardDrive,
  board: Cpu,
  tv: Tv,
  printer: Printer,
  terminal: Terminal,
}

export const DeviceIcon = ({ kind }: { readonly kind: DeviceKind }) => <Icon of={DEVICES[kind]} />
