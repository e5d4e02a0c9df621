// Every text that a person reads in the window, in one place. Sentences start with a capital, buttons are verbs that stand
// alone, trouble says what is so, why, and what to do.

export const words = {
  app: 'Peerway',
  onThisComputer: 'on this computer',
  back: 'Back',
  cancel: 'Cancel',
  copy: 'Copy',
  copied: (what: string) => `${what} copied`,
  dismiss: 'Dismiss',
  details: 'Details',
  tryAgain: 'Try again',
  more: (count: number) => (count === 1 ? 'and 1 more' : `and ${count} more`),

  firstRun: {
    title: 'Your machines,\none private network.',
    text: 'Encrypted end to end. Nobody in between can read it, not even whoever runs the network.',
    own: 'Start my own network on this computer',
    ownText: 'You own it. Takes a moment; other machines join with a one-time key.',
    ownAgain: 'Start my network again',
    ownAgainText: 'It is kept on this computer, with its machines and people.',
    join: 'Join a network',
    joinText: 'With an address, and a sign-in or a key. Servers compatible with Headscale or Tailscale work too.',
  },

  own: {
    title: 'Your own network',
    starting: 'Starting your network',
    startingText: 'This computer runs the network and is its first machine.',
    serverStep: 'Start the coordination server',
    joinStep: 'Join with this computer',
    readyStep: 'Connect',
    failed: 'Your network could not start',
  },

  startTrouble: { title: 'Peerway could not start' },

  join: {
    title: 'Join a network',
    address: 'Address or invite',
    addressHint: 'Such as home.example.org, or the whole invite line from the owner.',
    addressExample: 'home.example.org',
    addressWrong: 'This is not an address. It looks like home.example.org or http://192.168.1.20:8480.',
    signInSection: 'Get in',
    signIn: 'Sign in with the browser',
    signInHint: (host: string) => `Opens the sign-in page of ${host}`,
    signInHintEmpty: 'Opens the sign-in page of the network',
    byKey: 'Use a key instead',
    byKeyText: 'A one-time key from the owner',
    key: 'Key',
    keyHint: 'A key works once and only for a while.',
    keyMissing: 'Paste the key first.',
    joinWithKey: 'Join with this key',
    bySignIn: 'Sign in with the browser instead',
    bySignInText: 'With a passkey or a password of that network',
    asking: (host: string) => `Asking ${host}`,
    askingText: 'This takes a few seconds at most.',
    waiting: (what: string) => `Waiting for ${what}`,
    browser: 'Finish in your browser',
    browserText: 'Sign in on the page that opened. This window goes on by itself.',
    openAgain: 'Open the page again',
    copyLink: 'Copy its address',
    joined: (network: string) => `Joined ${network}`,
  },

  plate: {
    offWord: 'Not connected',
    off: 'Nothing goes in or out',
    busyWord: 'Connecting…',
    busyServer: (host: string) => `Asking ${host}`,
    busyServerUnknown: 'Asking the network’s server',
    busyMap: 'Fetching the list of machines',
    busyApproval: 'Waiting for the owner to let this machine in',
    busyPerson: 'Waiting for you to sign in',
    busyOther: (what: string) => `Waiting for ${what}`,
    onWord: 'Connected',
    onAlone: 'Only this computer so far',
    on: (online: number, all: number, direct: number) => `${online} of ${all} online, ${direct} direct`,
    outWord: 'Signed out',
    out: 'This machine needs a new sign-in',
    expired: 'This machine’s key ran out',
    signInBy: (when: string) => `Sign in again by ${when}`,
    attention: 'Something needs you',
    noServer: (host: string) => `${host} does not answer`,
    noServerUnknown: 'The network’s server does not answer',
    name: {
      on: (network: string) => `Connected to ${network}`,
      off: (network: string) => `Connect to ${network}`,
      busy: (network: string) => `Connecting to ${network}`,
    },
    yourNetwork: 'your network',
  },

  self: {
    label: 'This computer',
    copyAddress: 'Copy the address of this computer',
    noAddress: 'No address yet',
  },

  list: {
    label: 'Machines',
    search: 'Search machines',
    clear: 'Clear search',
    mine: 'My machines',
    shared: 'Shared with me',
    tagged: 'Tagged',
    owner: (name: string) => `from ${name}`,
    noResult: (text: string) => `No machine is called “${text}”.`,
    asOf: (time: string) => `as of ${time}`,
    copyAddress: (name: string) => `Copy the address of ${name}`,
    empty: 'Only this computer so far',
    emptyOwn: 'Add a phone or a second PC to talk to it.',
    emptyOther: 'Machines appear here as soon as they join.',
    add: 'Add a machine',
    loading: 'Looking for machines',
    emptyOff: 'Machines appear here once you connect.',
  },

  pathChanged: (name: string, sentence: string) => `${name} is now ${sentence}`,

  peer: {
    since: (time: string) => `since ${time}`,
    addresses: 'Addresses',
    name: 'Name',
    ipv4: 'IPv4',
    ipv6: 'IPv6',
    key: 'Key',
    about: 'About',
    owner: 'Owner',
    system: 'System',
    tags: 'Tags',
    machine: 'Calls itself',
    measure: 'Measure now',
    measuring: 'Measuring…',
    answered: (latency: string, how: string) => `Answered in ${latency}, ${how}`,
    gone: 'This machine left the network',
    goneText: 'It was removed, or you can no longer see it.',
    healthy: (reason: string, since: string) => `${reason} Since ${since}.`,
    idle: 'Nothing has been sent for a while. A path opens when it is needed.',
    offline: 'It is switched off, asleep or without a network.',
    signedOut: 'Its key ran out. Someone must sign in there again.',
    none: 'No path works at the moment.',
    viaEndpoint: 'Through',
    encryptedDerp: (name: string) => `Until a direct path opens, all traffic goes encrypted through DERP ${name}.`,
  },

  invite: {
    title: 'Add a machine',
    text: 'On the other machine, choose “Join a network” and enter these two, or paste the line below.',
    server: 'Address',
    key: 'One-time key',
    expires: (when: string) => `Works once, until ${when}. Whoever has it can join as you.`,
    line: 'For a terminal',
    making: 'Making a key',
    another: 'Make another key',
    failed: 'No key could be made',
    copyAll: 'Copy the invite line',
    lineName: 'Invite line',
    keyName: 'Key',
    addressName: 'Address',
  },

  signInSetup: {
    title: 'Choose how you sign in',
    text: 'Without a passkey or a password only this computer can manage the network.',
    button: 'Set up sign-in',
  },

  banner: {
    signedOut: 'Sign in to connect again',
    signedOutText: 'Machines and settings are kept.',
    signIn: 'Sign in',
    loginPending: 'Finish in your browser',
    loginPendingText: 'Sign in on the page that opened.',
    expires: (when: string) => `Your key ends ${when}`,
    expiresText: 'Sign in once more and nothing is interrupted.',
    noTray: 'This desktop has no tray',
    noTrayText: 'Closing this window leaves Peerway running. Start Peerway again to bring it back.',
    failedHere: 'That did not work',
  },

  menu: {
    label: 'Menu',
    appearance: 'Appearance',
    theme: { system: 'As the system', light: 'Light', dark: 'Dark' },
    signOut: 'Sign out of this network…',
    quit: 'Quit Peerway',
  },

  signOut: {
    title: (network: string) => `Sign out of ${network}`,
    text: 'This computer leaves the network until you sign in again. Other machines can no longer reach it.',
    stay: 'Stay signed in',
    leave: 'Sign out',
  },

  said: {
    connected: (network: string) => `Connected to ${network}`,
    off: 'Not connected',
    out: 'Signed out',
  },

  right: { empty: 'Choose a machine', emptyText: 'Its addresses and how it is reached appear here.' },
}

/** The first sentence is the headline of a trouble, the rest its next step. */
export function splitMessage(message: string): { readonly title: string; readonly text: string } {
  const end = /[.!?](?=\s+[A-Z“"(])/.exec(message)
  if (!end) return { title: message.replace(/\.$/, ''), text: '' }
  return { title: message.slice(0, end.index), text: message.slice(end.index + 1).trim() }
}
