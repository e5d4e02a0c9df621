module peerway.invalid/test/stock/headscale

go 1.25

require github.com/juanfont/headscale v0.27.1
