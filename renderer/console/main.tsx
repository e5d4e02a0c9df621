import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { ConsoleFrame } from './frame.tsx'
import '../styles/tokens.css'
import '../styles/base.css'
import '../styles/controls.css'
import '../styles/list.css'
import '../styles/pages.css'
import '../styles/adapt.css'
import '@fontsource-variable/inter/wght.css'
import './console.css'

const place = document.getElementById('root')
if (place)
  createRoot(place).render(
    <StrictMode>
      <ConsoleFrame />
    </StrictMode>,
  )
