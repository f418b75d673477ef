#pragma once
#include <miniupnpc/miniupnpc.h>
#include <miniupnpc/upnpcommands.h>
#include <miniupnpc/upnperrors.h>
#include <stdio.h>
#include <string.h>

// A gateway that was found: where it takes commands, and this host's address towards it.
struct starling_gateway {
  char control[512];
  char service[256];
  char lan[64];
};

// Looks for a connected gateway for `milliseconds`, on the interface with this address (null for the system's choice). Returns 1 when found.
static inline int starling_upnp_find(const char *interface, int milliseconds, struct starling_gateway *gateway) {
  int error = 0;
  struct UPNPDev *devices = upnpDiscover(milliseconds, interface, NULL, 0, 0, 2, &error);
  if (!devices) return 0;
  struct UPNPUrls urls;
  struct IGDdatas data;
  memset(&urls, 0, sizeof urls);
  memset(&data, 0, sizeof data);
  int kind = UPNP_GetValidIGD(devices, &urls, &data, gateway->lan, sizeof gateway->lan);
  int found = 0;
  // 2: the gateway does not say that it is connected, or has an address that is not public; whether others get through will show.
  if ((kind == 1 || kind == 2) && urls.controlURL && strlen(urls.controlURL) < sizeof gateway->control &&
      strlen(data.first.servicetype) < sizeof gateway->service) {
    strcpy(gateway->control, urls.controlURL);
    strcpy(gateway->service, data.first.servicetype);
    found = 1;
  }
  if (kind != 0) FreeUPNPUrls(&urls);
  freeUPNPDevlist(devices);
  return found;
}

// Maps an external TCP port to this host's; 0, or an error of the gateway's. `external` takes the gateway's external address, 64 bytes.
static inline int starling_upnp_map(
    const struct starling_gateway *gateway, unsigned short external_port, unsigned short port, unsigned int seconds, char *external) {
  char outside[8], inside[8], lease[16];
  snprintf(outside, sizeof outside, "%u", external_port);
  snprintf(inside, sizeof inside, "%u", port);
  snprintf(lease, sizeof lease, "%u", seconds);
  int result = UPNP_GetExternalIPAddress(gateway->control, gateway->service, external);
  if (result != UPNPCOMMAND_SUCCESS) return result;
  return UPNP_AddPortMapping(gateway->control, gateway->service, outside, inside, gateway->lan, "starling", "TCP", NULL, lease);
}

// Takes a mapping back.
static inline int starling_upnp_unmap(const struct starling_gateway *gateway, unsigned short external_port) {
  char outside[8];
  snprintf(outside, sizeof outside, "%u", external_port);
  return UPNP_DeletePortMapping(gateway->control, gateway->service, outside, "TCP", NULL);
}
