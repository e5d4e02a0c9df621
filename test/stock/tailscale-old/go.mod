module peerway.invalid/test/stock/tailscale-old

go 1.24.4

require tailscale.com v1.86.5
