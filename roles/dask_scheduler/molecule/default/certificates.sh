#!/bin/sh
# certificates.sh FOLDER NAME [ADDRESS]: a new CA, and what it has signed for a node at an address, or for a client.
# With openssl, in a quarter of a second; what the role dask_tls makes is proved by its own scenario and by the site's.
set -eu
mkdir -p "$1"
cd "$1"
new="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
usage=${3:+serverAuth,}clientAuth
printf '%s\n' ${3:+"subjectAltName=IP:$3"} "extendedKeyUsage=$usage" subjectKeyIdentifier=hash authorityKeyIdentifier=keyid > "$2.ext"
openssl req -x509 $new -days 9 -subj /CN=ca -addext keyUsage=critical,keyCertSign,cRLSign -keyout ca.key -out ca.pem
openssl req $new -subj "/CN=$2" -keyout "$2.key" -out "$2.csr"
openssl x509 -req -in "$2.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 9 -extfile "$2.ext" -out "$2.pem"
