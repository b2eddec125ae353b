module github.com/netprobe-xdp/netprobe-xdp

go 1.26.8

require (
	github.com/VictoriaMetrics/metrics v1.35.1 
	github.com/asavie/xdp v0.3.3 
	github.com/cilium/ebpf v0.22.0 
	github.com/go-viper/mapstructure/v2 v2.4.0 
	github.com/google/go-cmp v0.7.0 
	github.com/google/nftables v0.3.0 
	github.com/inconshreveable/mousetrap v1.1.0 
	github.com/knadh/koanf/maps v0.1.2 
	github.com/knadh/koanf/providers/confmap v1.0.1 
	github.com/knadh/koanf/providers/env/v2 v2.0.2 
	github.com/knadh/koanf/providers/posflag v1.0.2 
	github.com/knadh/koanf/v2 v2.4.1 
	github.com/mdlayher/netlink v1.7.3-0.20250113171957-fbb4dce95f42 
	github.com/mdlayher/packet v1.2.0 
	github.com/mdlayher/socket v0.7.0 
	github.com/mitchellh/copystructure v1.2.0 
	github.com/mitchellh/reflectwalk v1.0.2 
	github.com/spf13/cobra v1.10.2 
	github.com/spf13/pflag v1.0.10 
	github.com/valyala/fastrand v1.1.0 
	github.com/valyala/histogram v1.2.0 
	github.com/vishvananda/netlink v1.3.1 
	github.com/vishvananda/netns v0.0.5 
	go.yaml.in/yaml/v3 v3.0.6 
	golang.org/x/net v0.59.0 
	golang.org/x/sync v0.23.0 
	golang.org/x/sys v0.49.0 
)
