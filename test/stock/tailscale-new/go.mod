module peerway.invalid/test/stock/tailscale-new

go 1.27.3

require tailscale.com v1.104.5
