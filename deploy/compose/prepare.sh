#!/bin/sh
# Made once, into volumes: an authority and a certificate for the node, a token for Prometheus, a database password, the
# first configuration. What is there stays as it is, so this may run again at every start.
set -eu
umask 077
node=10001 postgres=999 prometheus=65534

cd /made/radnode
if [ ! -s node.pem ]; then
    openssl req -x509 -newkey rsa:3072 -nodes -sha256 -days 3650 -subj "/CN=radnode demonstration authority" \
        -addext "basicConstraints=critical,CA:TRUE,pathlen:0" -addext "keyUsage=critical,keyCertSign,cRLSign" \
        -keyout ca.key -out ca.pem
    openssl req -newkey rsa:3072 -nodes -sha256 -subj "/CN=node" -keyout node.key -out node.csr
    printf '%s\n' "subjectAltName=DNS:node,DNS:localhost,IP:127.0.0.1" "extendedKeyUsage=serverAuth,clientAuth" >node.ext
    openssl x509 -req -in node.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 825 -sha256 -extfile node.ext -out node.pem
    rm -f ca.key ca.srl node.csr node.ext # nobody signs another certificate with this authority
fi
[ -s metrics-token ] || openssl rand -hex 32 >metrics-token
[ -s database-password ] || openssl rand -hex 32 >database-password
printf 'postgres:5432:radnode:radnode:%s\n' "$(cat database-password)" >pgpass
[ -s radnode.yaml ] || cp /first/radnode.yaml radnode.yaml
chown -R "$node:$node" .
chmod 0600 node.key pgpass metrics-token database-password

cp database-password /made/postgres/password
chown "$postgres:$postgres" /made/postgres /made/postgres/password
cp ca.pem metrics-token /made/trust/
chmod 0444 /made/trust/ca.pem
chown "$prometheus:$prometheus" /made/trust /made/trust/ca.pem /made/trust/metrics-token
