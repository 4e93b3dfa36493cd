package embedded

import (
	"fmt"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// cacheTick is how often the keys of the in-process cache are aged.
const cacheTick = time.Second

// devCache is a Redis inside this process. It keeps nothing over a restart, as the cache is meant to.
type devCache struct {
	server *miniredis.Miniredis
	stop   chan struct{}
	aging  sync.WaitGroup
}

// openCache starts the server on the port if that is free, else on another.
func openCache(port int) (*devCache, error) {
	c := &devCache{server: miniredis.NewMiniRedis(), stop: make(chan struct{})}
	err := c.server.StartAddr(address(port))
	if err != nil {
		err = c.server.StartAddr(address(0))
	}
	if err != nil {
		return nil, fmt.Errorf("start the cache: %w", err)
	}
	c.aging.Go(c.age)
	return c, nil
}

// age lets keys expire. The server waits for its user to move the time; its own option to follow the clock visits every key
// at every command, which a tick does once a second.
func (c *devCache) age() {
	ticker := time.NewTicker(cacheTick)
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case now := <-ticker.C:
			c.server.FastForward(now.Sub(last))
			last = now
		case <-c.stop:
			return
		}
	}
}

func (c *devCache) close() {
	close(c.stop)
	c.aging.Wait()
	c.server.Close()
}
