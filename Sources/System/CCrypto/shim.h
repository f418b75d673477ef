#pragma once
// The low-level SHA-256 calls are five times as fast as the one-shot ones for short inputs.
#define OPENSSL_SUPPRESS_DEPRECATED 1
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <openssl/ec.h>
#include <openssl/x509.h>
#include <openssl/err.h>
